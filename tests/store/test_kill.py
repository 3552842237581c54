"""Processes that are killed at every call that changes a file: the next one resumes from what they left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.counted_calls import counted, is_killed
from helpers.toy_run import contents, toy_spec, train, training_results

from gan_bench.store.store import Store
from gan_bench.store.verify import inspect, repair

SPEC = toy_spec()


def run_of(root: Path) -> Path:
    return root / "runs" / SPEC.run_id


@pytest.fixture
def undisturbed(tmp_path: Path) -> Path:
    """The folder of an uninterrupted run."""
    store = Store.open(tmp_path / "undisturbed", create=True, on_event=pytest.fail)
    store.expect([SPEC])
    with counted(tmp_path) as calls:
        assert train(store, SPEC)
    assert calls.past == [], "a write that is not counted"
    assert {"open", "write", "fsync", "replace", "link", "unlink", "mkdir"} <= set(calls.made)
    return run_of(store.root)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_call_is_resumed_to_equal_results(
    tmp_path: Path, undisturbed: Path, step: int
) -> None:
    kills = 0
    for at in range(1, 1000, step):
        root = tmp_path / str(at)
        if not killed(root, at):
            break
        kills += 1
        if at % 2:
            kills += killed(root, 1 + at * 7 % 60)  # and again while it resumes
        store = Store.open(root, create=True, on_event=pytest.fail)
        store.expect([SPEC])
        if not store.is_trained(SPEC):
            assert train(store, SPEC)
        assert training_results(run_of(root)) == training_results(undisturbed), f"killed before call {at}"
        assert contents(run_of(root)).keys() == contents(undisturbed).keys()
        assert [run.spec for run in store.runs()] == [SPEC]
        repair(root, inspect(root))
        assert [found for found in inspect(root) if found.where == SPEC.run_id] == []
        assert [path.name for path in (root / "runs").rglob(".*")] == []
    assert kills > 150 / step, "fewer calls than expected: is every write still counted?"


def killed(root: Path, at: int) -> bool:
    """Train in a process that is killed before call number `at`; return False if it finished before."""

    def work() -> None:
        store = Store.open(root, create=True)
        store.expect([SPEC])
        train(store, SPEC)

    return is_killed(work, root, at)
