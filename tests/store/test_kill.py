"""A process is killed at every call that changes a file; whatever it left, the next one goes on from that."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from counted_calls import counted
from toy_run import contents, learned, toy_spec, train

from gan_bench.store.inspection import inspect, repair
from gan_bench.store.store import Store

SPEC = toy_spec()


def run_of(root: Path) -> Path:
    return root / "runs" / SPEC.run_id


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """The folder of a run that nothing happened to."""
    store = Store.open(tmp_path / "quiet", create=True, notify=pytest.fail)
    store.expect([SPEC])
    with counted(tmp_path) as calls:
        assert train(store, SPEC)
    assert calls.past == [], "a write that this test does not see"
    assert {"open", "write", "fsync", "replace", "link", "unlink", "mkdir"} <= set(calls.made)
    return run_of(store.root)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
def test_killed_at_every_call_a_run_goes_on(tmp_path: Path, quiet: Path) -> None:
    kills = 0
    for at in range(1, 1000):
        root = tmp_path / str(at)
        if not killed(root, at):
            break
        kills += 1
        if at % 2:
            kills += killed(root, 1 + at * 7 % 60)  # and again while it goes on
        store = Store.open(root, create=True, notify=pytest.fail)
        store.expect([SPEC])
        if not store.is_finished(SPEC):
            assert train(store, SPEC)
        assert learned(run_of(root)) == learned(quiet), f"killed before call {at}"
        assert contents(run_of(root)).keys() == contents(quiet).keys()
        assert [run.spec for run in store.runs()] == [SPEC]
        repair(root, inspect(root))
        assert [found for found in inspect(root) if found.where == SPEC.run_id] == []
        assert [path.name for path in (root / "runs").rglob(".*")] == []
    assert kills > 150, "what the run writes has become less; is it still all counted?"


def killed(root: Path, at: int) -> bool:
    """Train in a process that is killed before its `at`th call; False if it came to its end before."""
    child = os.fork()
    if child == 0:
        with counted(root, at, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
            store = Store.open(root, create=True)
            store.expect([SPEC])
            train(store, SPEC)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
