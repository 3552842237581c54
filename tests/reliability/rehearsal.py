"""Whole runs by forks: the process that is forked has made such a run before, so that a fork begins at once."""

from __future__ import annotations

import os

import gan_bench as gb
from gan_bench.store import lease


def rehearse(matrix: gb.Matrix, options: gb.Options) -> None:
    """Make a run here: everything is imported, loaded and tried, for every fork. No thread is left behind."""
    lease._heart_of = os.getpid()  # as if its thread ran: forks have other numbers, and start their own
    gb.run(matrix, options)
