"""A process is stopped at every call that changes a file, is overtaken, and wakes up: it changes nothing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from counted_calls import counted
from toy_run import contents, toy_spec, train

from gan_bench.errors import RunTakenError
from gan_bench.store import lease
from gan_bench.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="stops are POSIX signals here")
SPEC = toy_spec()
FENCED, REFUSED, DONE = 3, 4, 5
FIRST, SECOND = 1, -1


def owner(root: Path, at: int) -> int:
    """A process that trains, and stops itself before its `at`th call; returns once it has stopped."""
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
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]), f"it did not stop at call {at}"
    return child


def overtake(roots: list[Path]) -> dict[Path, dict[str, str]]:
    """Train, as another process, what the stopped ones have not finished; return what a reader then finds."""
    stores = [Store.open(root, create=True, notify=pytest.fail) for root in roots]
    taken = [train(store, SPEC, SECOND) for store in stores]
    time.sleep(lease.STALE_SECONDS * 1.5)
    for store, already in zip(stores, taken, strict=True):
        assert already or train(store, SPEC, SECOND) or store.is_finished(SPEC)
    return {root: contents(root) for root in roots}


@pytest.mark.timeout(120)
def test_who_was_stopped_at_any_call_and_overtaken_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "STALE_SECONDS", 1.0)
    with counted(tmp_path) as calls:
        train(Store.open(tmp_path / "quiet", create=True), SPEC, FIRST)
    roots = [tmp_path / str(at) for at in range(1, len(calls.made) + 1)]
    owners: list[int] = []
    ends: Counter[int] = Counter()
    try:
        owners += [owner(root, at) for at, root in enumerate(roots, 1)]
        before = overtake(roots)
        for child, root in zip(list(owners), roots, strict=True):
            os.kill(child, signal.SIGCONT)
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            owners.remove(child)
            ends[ended] += 1
            outcome = Store.open(root, create=False).outcome(SPEC)
            assert outcome is not None
            assert contents(root) == before[root], f"stopped before {calls.made[int(root.name) - 1]} {root.name}"
            assert (ended == DONE) == (outcome.reason == str(FIRST)), f"{root.name}: {ended}"
            assert not list(root.glob("runs/*/.lease*"))
    finally:
        for child in owners:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert ends.keys() == {FENCED, REFUSED, DONE}
    assert ends[FENCED] > 100, "too few were overtaken while they trained: this proves little"
