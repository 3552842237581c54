"""A process suspended at every call that changes a file, taken over and resumed, changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers.counted_calls import counted
from helpers.toy_run import contents, toy_spec, train

from gan_bench.core.errors import RunTakenError
from gan_bench.store import leases
from gan_bench.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="stops are POSIX signals here")
SPEC = toy_spec()
FENCED, REFUSED, DONE = 3, 4, 5
FIRST, SECOND = 1, -1


def owner(root: Path, at: int) -> int:
    """Start a process that trains and suspends itself before its `at`th call; return once it is suspended."""
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            with counted(root, at, lambda name: os.kill(os.getpid(), signal.SIGSTOP)):
                ended = DONE if train(Store.open(root, create=True), SPEC, FIRST) else REFUSED
        except RunTakenError:
            ended = FENCED
        finally:
            os._exit(ended)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]), f"it was not suspended at call {at}"
    return child


def take_over(roots: list[Path]) -> dict[Path, dict[str, str]]:
    """Train in this process what the suspended ones have not finished; return the contents of each run."""
    stores = [Store.open(root, create=True, on_event=pytest.fail) for root in roots]
    trained = [train(store, SPEC, SECOND) for store in stores]
    time.sleep(leases.STALE_SECONDS * 1.5)
    for store, already in zip(stores, trained, strict=True):
        assert already or train(store, SPEC, SECOND) or store.is_trained(SPEC)
    return {root: contents(root) for root in roots}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_suspended_at_any_call_and_taken_over_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(leases, "STALE_SECONDS", 1.0)
    with counted(tmp_path) as calls:
        train(Store.open(tmp_path / "undisturbed", create=True), SPEC, FIRST)
    roots = [tmp_path / str(at) for at in range(1, len(calls.made) + 1, every)]
    owners: list[int] = []
    ends: Counter[int] = Counter()
    try:
        owners += [owner(root, int(root.name)) for root in roots]
        before = take_over(roots)
        for child, root in zip(list(owners), roots, strict=True):
            os.kill(child, signal.SIGCONT)
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            owners.remove(child)
            ends[ended] += 1
            outcome = Store.open(root, create=False).outcome(SPEC)
            assert outcome is not None
            assert contents(root) == before[root], f"suspended before {calls.made[int(root.name) - 1]} {root.name}"
            assert (ended == DONE) == (outcome.reason == str(FIRST)), f"{root.name}: {ended}"
            assert not list(root.glob("runs/*/.lease*"))
    finally:
        for child in owners:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert ends.keys() == {FENCED, REFUSED, DONE}
    assert ends[FENCED] > 100 / every, "too few were taken over while they trained"
