"""The system refuses one call, or all later ones: one clear line, and no file is torn or lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from helpers.counted_calls import counted
from helpers.toy_run import toy_spec, train, training_results

from gan_bench.core.errors import InputError, RunError
from gan_bench.store.store import Store
from gan_bench.store.verify import inspect, repair

FIRST, SPEC = toy_spec(0), toy_spec(1)


def make(root: Path) -> None:
    store = Store.open(root, create=True)
    store.expect([SPEC])
    train(store, SPEC)


def refused(root: Path, at: int, number: int, lasting: bool) -> str:
    """Train while the system refuses calls; return the error message, empty where there was none."""

    def refuse(name: str) -> None:
        raise OSError(number, os.strerror(number))

    with counted(root, at, refuse, lasting):
        try:
            make(root)
        except (RunError, InputError) as error:
            return str(error)
    return ""


EVERY = 1
CASES = [
    (errno.ENOSPC, False, 5),
    (errno.EROFS, True, 5),
    *(
        pytest.param(number, lasting, EVERY if number == errno.ENOSPC else 3, marks=pytest.mark.slow)
        for number in (errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EIO)
        for lasting in (False, True)
    ),
]
"""The error, whether it lasts, and which calls it hits: every one, every third, ..."""


@pytest.mark.parametrize(("number", "lasting", "every"), CASES)
def test_a_refused_call_is_one_clear_line_and_the_same_command_succeeds_afterwards(
    tmp_path: Path, number: int, lasting: bool, every: int
) -> None:
    with counted(tmp_path) as calls:
        make(tmp_path / "undisturbed")
    expected = training_results(tmp_path / "undisturbed" / "runs" / SPEC.run_id)
    root = tmp_path / "out"
    failures = 0
    for at in range(1, len(calls.made) + 1, every):
        store = Store.open(root, create=True, on_event=pytest.fail)
        store.discard(SPEC)
        train(store, FIRST)
        before = training_results(root / "runs" / FIRST.run_id)
        line = refused(root, at, number, lasting)
        if line:
            failures += 1
            assert os.strerror(number).lower() in line
            assert "\n" not in line
        assert training_results(root / "runs" / FIRST.run_id) == before
        assert {run.spec for run in store.runs()} <= {FIRST, SPEC}
        assert store.is_trained(SPEC) or train(store, SPEC)
        assert training_results(root / "runs" / SPEC.run_id) == expected
        repair(root, inspect(root))
        assert [found for found in inspect(root) if not found.where.startswith(".store")] == []
    assert failures > len(calls.made) / every / 4, "hardly any call failed"
