"""A rehearsed process: its forks start a command without importing, loading or building anything first."""

from __future__ import annotations

import os

import gan_bench as gb
from gan_bench.store import leases


def rehearse(matrix: gb.Matrix, options: gb.Options) -> None:
    """Run the matrix in this process, which is forked afterwards, without leaving a thread."""
    leases._heartbeat_pid = os.getpid()  # as if the heartbeat ran: forks have other pids, and start their own
    gb.run(matrix, options)
