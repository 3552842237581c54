"""A process killed at every call of an evaluation leaves a readable run, which the same command completes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.counted_calls import counted
from helpers.toy_run import contents, evaluate, toy_spec, train
from helpers.whole_runs import Trial, score_values, training_files

import gan_bench as gb
from gan_bench.core.errors import RunError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.store.store import Store
from gan_bench.store.verify import inspect, repair

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
SPEC = toy_spec()


def run_of(root: Path) -> Path:
    return root / "runs" / SPEC.run_id


def killed(root: Path, at: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed before its `at`th call; return False if it ended before."""
    child = os.fork()
    if child == 0:
        with counted(root, at, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
            work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def make_trained(root: Path) -> Store:
    store = Store.open(root, create=True, on_event=pytest.fail)
    assert train(store, SPEC)
    return store


@pytest.mark.slow
def test_a_kill_at_every_call_of_an_evaluation_leaves_a_readable_run(tmp_path: Path) -> None:
    undisturbed = make_trained(tmp_path / "undisturbed")
    trained = contents(run_of(undisturbed.root))
    with counted(tmp_path) as calls:
        assert evaluate(undisturbed, SPEC)
    assert calls.past == [], "a write that is not counted"
    expected = contents(run_of(undisturbed.root))
    assert {name for name in expected if expected[name] != trained[name]} == {
        "scores.json",
        "record.json",
        "SHA256SUMS",
    }
    readable: set[int] = set()
    for at in range(1, len(calls.made) + 1):
        root = tmp_path / str(at)
        store = make_trained(root)
        assert killed(root, at, lambda store=store: evaluate(store, SPEC)), f"call {at} was not reached"
        (run,) = store.runs()  # pytest.fail would have reported a notice
        assert (run.record.status, run.record.attempts) == ("done", 1)
        readable.add(len(run.scores))
        assert [found for found in inspect(root) if found.damaged] == []
        assert evaluate(store, SPEC)
        assert contents(run_of(root)) == expected, f"killed before call {at}, {calls.made[at - 1]}"
        repair(root, inspect(root))
        assert inspect(root) == []
        assert [path.name for path in (root / "runs").rglob(".*")] == []
    assert readable == {3, 4}, "no kill hit before, or none after, the scores were written"
    assert len(calls.made) > 25, "an evaluation makes fewer calls than before: are all of them counted?"


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_refused_call_of_an_evaluation_leaves_a_readable_run(tmp_path: Path, lasting: bool) -> None:
    undisturbed = make_trained(tmp_path / "undisturbed")
    with counted(tmp_path) as calls:
        assert evaluate(undisturbed, SPEC)
    expected = contents(run_of(undisturbed.root))
    failures = 0

    def refuse(name: str) -> None:
        raise OSError(28, "No space left on device")

    for at in range(1, len(calls.made) + 1):
        root = tmp_path / str(at)
        store = make_trained(root)
        message = ""
        with counted(root, at, refuse, lasting):
            try:
                evaluate(store, SPEC)
            except RunError as error:
                message = str(error)
        if message:
            failures += 1
            assert "no space left on device" in message
            assert "\n" not in message
        assert [run.spec for run in store.runs()] == [SPEC]
        assert evaluate(store, SPEC)
        assert contents(run_of(root)) == expected
    assert failures > len(calls.made) / 4, "hardly any call failed"


@pytest.mark.slow
def test_a_kill_at_every_call_of_an_evaluating_command_loses_nothing(
    tmp_path: Path, trial: Callable[..., Trial]
) -> None:
    """With the whole command, from stored weights: nothing is trained, and every score is computed once."""
    wanted = EvaluationSpec(metrics=("fid", "kid"), samples=160, draws=2)

    def command(trained: Trial) -> None:
        gb.evaluate(["all"], wanted, trained.options)

    first = trial("first", epochs=1, metrics=("fid",))
    first.run()
    undisturbed = trial("undisturbed", epochs=1, metrics=("fid",)).start_from(first)
    command(undisturbed)
    (expected,) = undisturbed.folders()
    training = training_files(expected)
    at = 0
    while True:
        at += 1
        trained = trial(str(at), epochs=1, metrics=("fid",)).start_from(first)
        (folder,) = trained.folders()
        if not killed(trained.out, at, lambda trained=trained: command(trained)):
            break
        assert [run.record.status for run in trained.stored()] == ["done"]
        command(trained)
        assert training_files(folder) == training
        assert score_values(folder) == score_values(expected)
    assert at > 25, "an evaluation makes fewer calls than before: are all of them counted?"
