"""CPU threads that this process was given: by Slurm, a container's quota, or the CPUs it may run on."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def allocated_threads() -> int:
    """Return how many threads this process should compute with: the smallest of all limits, at least 1."""
    limits = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdecimal() and given.isascii() and len(given) < 6:
        limits.append(int(given))
    quota = _quota()
    if quota is not None:
        limits.append(math.ceil(quota))
    return max(1, min(limits))


def _quota() -> float | None:
    """Return the CPUs of the control group's quota; None without one."""
    new, old = QUOTAS
    try:
        if new.is_file():
            limit, period = new.read_text().split()[:2]
            return None if limit == "max" else int(limit) / int(period)
        if old.is_file():
            limit, period = old.read_text().strip(), old.with_name("cpu.cfs_period_us").read_text().strip()
            return None if int(limit) < 0 else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return None
