"""The system refuses one call, or all from some moment on: one clear line, and nothing is torn or lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from counted_calls import counted
from toy_run import learned, toy_spec, train

from gan_bench.errors import InputError, RunError
from gan_bench.store.inspection import inspect, repair
from gan_bench.store.store import Store

FIRST, SPEC = toy_spec(0), toy_spec(1)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def make(root: Path) -> None:
    store = Store.open(root, create=True)
    store.expect([SPEC])
    train(store, SPEC)


def refused(root: Path, at: int, number: int, lasting: bool) -> str:
    """Train while the system refuses; return what the user is told, empty where it was no matter."""

    def refuse(name: str) -> None:
        raise OSError(number, os.strerror(number))

    with counted(root, at, refuse, lasting):
        try:
            make(root)
        except (RunError, InputError) as error:
            return str(error)
    return ""


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_refused_call_is_one_clear_line_and_the_same_again_ends_well(
    tmp_path: Path, number: int, lasting: bool
) -> None:
    with counted(tmp_path) as calls:
        make(tmp_path / "quiet")
    root = tmp_path / "out"
    told = 0
    for at in range(1, len(calls.made) + 1, 1 if number == errno.ENOSPC and not lasting else 3):
        store = Store.open(root, create=True, notify=pytest.fail)
        store.forget(SPEC)
        train(store, FIRST)
        before = learned(root / "runs" / FIRST.run_id)
        line = refused(root, at, number, lasting)
        if line:
            told += 1
            assert os.strerror(number).lower() in line
            assert "\n" not in line
        assert learned(root / "runs" / FIRST.run_id) == before
        assert {run.spec for run in store.runs()} <= {FIRST, SPEC}
        assert store.is_finished(SPEC) or train(store, SPEC)
        assert learned(root / "runs" / SPEC.run_id) == learned(tmp_path / "quiet" / "runs" / SPEC.run_id)
        repair(root, inspect(root))
        assert [found for found in inspect(root) if not found.where.startswith(".store")] == []
    assert told > len(calls.made) / 8, "hardly anything was refused: this proves little"
