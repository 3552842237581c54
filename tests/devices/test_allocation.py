"""Threads that this process was given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gan_bench.devices import allocation
from gan_bench.devices.allocation import allocated_threads


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(allocation, "QUOTAS", (tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us"))


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("64", 8), ("", 8), ("many", 8), ("0", 1)])
def test_slurm_gives_the_cpus_of_a_task(monkeypatch: pytest.MonkeyPatch, given: str, threads: int) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", given)
    assert allocated_threads() == threads


@pytest.mark.parametrize(
    ("quota", "threads"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("", 8), ("x y", 8)]
)
def test_a_container_has_a_quota(tmp_path: Path, quota: str, threads: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert allocated_threads() == threads


@pytest.mark.parametrize(("quota", "threads"), [("-1", 8), ("150000", 2)])
def test_an_older_control_group_has_a_quota_too(tmp_path: Path, quota: str, threads: int) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    assert allocated_threads() == threads
