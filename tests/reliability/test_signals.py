"""Signals: a checkpoint, released leases, the right exit code, no orphan; a second Ctrl-C quits at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.forks import TINY, Command, Launch, forked_workers, is_alive, running
from helpers.toy_work import die_after_signalling_the_parent
from helpers.victims import alive, command, descendants, started, wait_until
from helpers.whole_runs import assert_equal_runs, score_values, training_files

from gan_bench.core import signals
from gan_bench.core.events import ignore_events
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.runner.executors import processes
from gan_bench.runner.executors.base import never_stop

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="POSIX signals"),
    pytest.mark.slow,
    pytest.mark.xdist_group("signals"),  # they share undisturbed runs
]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGUSR2: 143}
STOPPED = "Run the same command to continue"
MOMENTS = ("planning", "reference", "group", "step", "epoch", "write", "evaluation", "finished", "report")
PAIRS = [(sent, moment) for number, moment in enumerate(MOMENTS) for sent in (*CODES, *CODES)[number % 4 :][:2]]
"""Every moment with two of the signals, every signal at four moments or more: they share one handler."""
WORKERS = [
    (sent, moment, (number + place) % 2 == 1)
    for number, sent in enumerate(CODES)
    for place, moment in enumerate(("group", "epoch"))
]
"""Every signal at both moments, once to the command alone and once to its workers too."""
FREQUENT_EVENTS = """
from gan_bench.metrics.extractors.classifier import ClassifierExtractor
from gan_bench.runner import group_training

group_training.PROGRESS_SECONDS = 0.0
group_training.CHECKPOINT_SECONDS = 0.0
ClassifierExtractor.batch_size = 40
"""
STUCK = """
import time
from gan_bench.core import signals
from gan_bench.losses.base import losses
from torch._subclasses.fake_tensor import FakeTensor
from gan_bench.losses.bce import BCE

signals.GRACE_SECONDS = 2.0

@losses.register("stuck")
class Stuck(BCE):
    def generator(self, real_logits, fake_logits):
        if not isinstance(fake_logits, FakeTensor) and fake_logits.shape[-1] > 8:  # in training only
            print("stuck", flush=True)
            open(FILE, "a").write("stuck\\n")
            time.sleep(600)
        return super().generator(real_logits, fake_logits)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin: an event for every step, several batches for each evaluation, a checkpoint after each epoch."""
    file = tmp_path_factory.mktemp("plugins") / "frequent_events.py"
    file.write_text(FREQUENT_EVENTS)
    return file


def run_command(out: Path, plugin: Path, jobs: int) -> tuple[str, ...]:
    epochs = "2" if jobs == 1 else "12"
    given = ("run", "--out", str(out), "--models", "vanilla", "--seeds", "0-1", "--metrics", "fid", *TINY)
    return (*given, "--plugin", str(plugin), "--epochs", epochs, "--jobs", str(jobs))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path, plugin: Path) -> dict[int, Path]:
    """Results folders of undisturbed runs, by jobs."""
    found = {jobs: tmp_path_factory.mktemp(f"undisturbed-{jobs}") / "out" for jobs in (1, 2)}
    with contextlib.ExitStack() as stack:
        launches = [
            Launch(run_command(out, plugin, jobs), cache, out.parent / "log") for jobs, out in found.items()
        ]
        for process in [stack.enter_context(running(launch)) for launch in launches]:
            assert process.wait(90) == 0, process.output
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_folders(out: Path) -> list[Path]:
    return sorted((out / "runs").iterdir()) if (out / "runs").is_dir() else []


def assert_stopped(process: Command, code: int, out: Path) -> None:
    """The command ended in time with its exit code, and left no process, lease or temporary file."""
    assert process.wait() == code, process.output
    assert time.monotonic() - process.signalled_at < 30
    assert STOPPED in process.output
    assert "Traceback" not in process.output
    wait_until(lambda: not any(map(is_alive, process.workers)), 5)
    assert not list(out.glob("runs/*/.*")), "a lease or a temporary file"


@pytest.mark.parametrize(("sent", "moment"), PAIRS)
def test_a_signal_at_any_moment_loses_nothing_and_the_same_command_continues(
    tmp_path: Path, cache: Path, plugin: Path, undisturbed: dict[int, Path], sent: signal.Signals, moment: str
) -> None:
    out, own_cache = tmp_path / "out", tmp_path / "cache"
    # without reference scores, which would not be computed again
    extractors = Path("gan_bench", "metrics", "extractors")
    shutil.copytree(cache / extractors, own_cache / extractors)
    # a write happens in the process that trains; a signal in the middle of one is tested in this one
    executor = "in-process" if moment == "write" else "local"
    arguments = (*run_command(out, plugin, 1), "--executor", executor)
    with running(Launch(arguments, own_cache, tmp_path / "log", moment, sent, of_run="s1")) as stopped:
        assert_stopped(stopped, CODES[sent], out)
    n_evaluated = {"planning": 0, "reference": 0, "finished": 2, "report": 2}.get(moment, 1)
    # the write is one of the last epoch, after which the run stops before its evaluation
    n_trained = 2 if moment in ("write", "evaluation") else n_evaluated
    trained = [folder for folder in run_folders(out) if (folder / "record.json").exists()]
    evaluated = [folder for folder in trained if score_values(folder)]
    assert len(trained) == n_trained, "a trained run is lost, or an untrained one counts as trained"
    assert len(evaluated) == n_evaluated, "an evaluation is lost"
    before, trainings = [contents(folder) for folder in evaluated], [training_files(folder) for folder in trained]
    with running(Launch(arguments, own_cache, tmp_path / "again")) as again:
        assert again.wait() == 0, again.output
    assert [contents(folder) for folder in evaluated] == before, "a finished run was changed"
    assert [training_files(folder) for folder in trained] == trainings, "a trained run was trained again"
    for mine, expected in zip(run_folders(out), run_folders(undisturbed[1]), strict=True):
        assert_equal_runs(mine, expected)


@pytest.mark.parametrize(("sent", "moment", "to_all"), WORKERS)
def test_workers_stop_at_a_checkpoint_and_none_is_orphaned(
    tmp_path: Path,
    cache: Path,
    plugin: Path,
    undisturbed: dict[int, Path],
    sent: signal.Signals,
    moment: str,
    to_all: bool,
) -> None:
    out = tmp_path / "out"
    arguments = run_command(out, plugin, 2)
    with running(Launch(arguments, cache, tmp_path / "log", moment, sent, to_all)) as stopped:
        assert_stopped(stopped, CODES[sent], out)
        assert len(stopped.workers) == 2
    for folder in run_folders(out):
        record = folder / "record.json"
        assert not record.exists() or json.loads(record.read_text())["status"] == "done", "recorded as failed"
    with running(Launch(arguments, cache, tmp_path / "again")) as again:
        assert again.wait() == 0, again.output
    for mine, expected in zip(run_folders(out), run_folders(undisturbed[2]), strict=True):
        assert_equal_runs(mine, expected)


def stuck_command(tmp_path: Path, out: Path, jobs: int) -> tuple[str, ...]:
    plugin = tmp_path / "stuck.py"
    plugin.write_text(STUCK.replace("FILE", repr(str(tmp_path / "stuck"))))
    given = ("run", "--out", str(out), "--models", "vanilla", "--losses", "stuck", "--seeds", "0-1", *TINY)
    return (*given, "--plugin", str(plugin), "--jobs", str(jobs))


def are_stuck(tmp_path: Path, jobs: int) -> bool:
    file = tmp_path / "stuck"
    return file.exists() and len(file.read_text().split()) >= jobs


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_second_interrupt_quits_at_once(tmp_path: Path, cache: Path, jobs: int) -> None:
    with running(Launch(stuck_command(tmp_path, tmp_path / "out", jobs), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, jobs), 60)
        process.send(signal.SIGINT)
        time.sleep(0.1)
        process.send(signal.SIGINT)  # one press of the key, delivered twice, is one interrupt
        time.sleep(0.9)
        assert process.process.is_alive(), "it did not wait for a checkpoint"
        since = time.monotonic()
        process.send(signal.SIGINT)
        assert process.wait() == 130
        assert time.monotonic() - since < 1
        wait_until(lambda: not any(map(is_alive, process.workers)), 5)


def test_no_worker_outlives_a_killed_command(tmp_path: Path, cache: Path) -> None:
    with running(Launch(stuck_command(tmp_path, tmp_path / "out", 2), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, 2), 60)
        # the first worker tried the plugin and has ended
        assert [is_alive(pid) for pid in process.workers] == [False, True, True]
        process.send(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, process.workers)), 5)


def test_a_signal_that_reaches_a_worker_first_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    deaths: list[object] = []
    monkeypatch.setattr(processes, "POLL_SECONDS", 5.0)  # wakes up because of the worker's end, not of the time
    with pytest.raises(signals.Interrupted), signals.handle_signals(), forked_workers():
        processes.run_in_processes(
            [Group(())],
            die_after_signalling_the_parent,
            Options(jobs=1),
            1,
            ignore_events,
            lambda *death: deaths.append(death),
            never_stop,
        )
    assert deaths == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_step_that_does_not_end_is_cut_off(tmp_path: Path, cache: Path, jobs: int) -> None:
    assert processes.GRACE_SECONDS < signals.GRACE_SECONDS < 30, "workers, this process, schedulers"
    with running(Launch(stuck_command(tmp_path, tmp_path / "out", jobs), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, jobs), 60)
        since = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 143
        assert 1 < time.monotonic() - since < 5, "the plugin allows 2 s"
        wait_until(lambda: not any(map(is_alive, process.workers)), 5)


def test_a_signal_leaves_a_checkpoint_and_no_process(tmp_path: Path, cache: Path) -> None:
    """With real processes throughout; the signal goes to the process group, as a terminal's does."""
    long = ("--models", "vanilla", "--epochs", "100000", "--metrics", "is", "--seeds", "0-1")
    with contextlib.ExitStack() as stack:  # both at once, because starting takes longest
        cases = []
        for sent, jobs in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
            out = tmp_path / str(jobs)
            arguments = command(out, *long, "--jobs", str(jobs), "--checkpoint-every", "1h")
            cases.append((stack.enter_context(started(cache, arguments)), out, sent, jobs))
        for process, out, sent, jobs in cases:
            wait_until(lambda out=out, jobs=jobs: len(list(out.glob("runs/*/epochs.csv"))) >= jobs, 90)
            assert_stops_with_checkpoints(process, out, sent)


def assert_stops_with_checkpoints(process: subprocess.Popen[str], out: Path, sent: signal.Signals) -> None:
    workers = descendants(process)
    since = time.monotonic()
    os.killpg(process.pid, sent)
    _, err = process.communicate(timeout=40)
    assert time.monotonic() - since < 30
    assert process.returncode == CODES[sent], err
    assert STOPPED in err
    assert "Traceback" not in err
    wait_until(lambda: not alive(workers), 5)
    assert not list(out.glob("runs/*/.lease*"))
    for folder in out.glob("runs/*"):
        if (folder / "epochs.csv").exists():
            n_epochs = len((folder / "epochs.csv").read_text().splitlines()) - 1
            state = json.loads((folder / "checkpoint.json").read_text())["state"]
            assert state["step"] >= n_epochs * 16, "trained steps are lost"
            assert not (folder / "record.json").exists()
