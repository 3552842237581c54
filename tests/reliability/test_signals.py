"""Signals: a checkpoint, leases given back, the right exit code, nobody orphaned; a second Ctrl-C ends at once."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from forks import TINY, Ask, Command, lives, running, workers
from victims import alive, below, command, started, wait_until
from whole_runs import assert_equal_runs

from gan_bench import interruption
from gan_bench.execution import processes
from gan_bench.execution.executor import never
from gan_bench.matrix import Group
from gan_bench.record import Observer

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="POSIX signals"), pytest.mark.slow]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGUSR2: 143}
MOMENTS = (
    "planning", "evaluation reference", "group", "step", "epoch", "write", "evaluation scores", "finished",
    "report",
)  # fmt: skip
PAIRS = [(sent, moment) for number, moment in enumerate(MOMENTS) for sent in (*CODES, *CODES)[number % 4 :][:2]]
"""Every moment meets two of the signals, every signal four moments or more: they share one way to be heard."""
WORKERS = [
    (sent, moment, (number + place) % 2 == 1)
    for number, sent in enumerate(CODES)
    for place, moment in enumerate(("group", "epoch"))
]
"""Every signal at both moments, once to the command alone and once to its workers, too."""
TALKATIVE = """
from gan_bench import pipeline
from gan_bench.metrics.extractors.classifier import ClassifierExtractor

pipeline.STEP_NEWS_SECONDS = 0.0
pipeline.CHECKPOINT_SECONDS = 0.0
ClassifierExtractor.batch_size = 40
"""
STUCK = """
import time
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses
from gan_bench import interruption

interruption.PATIENCE_SECONDS = 2.0

@losses.register("stuck")
class Stuck(BCE):
    def generator(self, logits):
        if logits.device.type != "meta":
            print("stuck", flush=True)
            open(FILE, "a").write("stuck\\n")
            time.sleep(600)
        return super().generator(logits)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin: every step is told, scores come in several batches, and each epoch ends with a checkpoint."""
    file = tmp_path_factory.mktemp("plugins") / "talkative.py"
    file.write_text(TALKATIVE)
    return file


def asked(out: Path, plugin: Path, jobs: int) -> tuple[str, ...]:
    epochs = "2" if jobs == 1 else "12"
    given = ("run", "--out", str(out), "--models", "vanilla", "--seeds", "0-1", "--metrics", "fid", *TINY)
    return (*given, "--plugin", str(plugin), "--epochs", epochs, "--jobs", str(jobs))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path, plugin: Path) -> dict[int, Path]:
    """Results folders, by jobs, that nothing happened to."""
    found = {jobs: tmp_path_factory.mktemp(f"undisturbed-{jobs}") / "out" for jobs in (1, 2)}
    with contextlib.ExitStack() as stack:
        asks = [Ask(asked(out, plugin, jobs), cache, out.parent / "log") for jobs, out in found.items()]
        for quiet in [stack.enter_context(running(ask)) for ask in asks]:
            assert quiet.wait(90) == 0, quiet.said
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_folders(out: Path) -> list[Path]:
    return sorted((out / "runs").iterdir()) if (out / "runs").is_dir() else []


def assert_left_in_order(ended: Command, code: int, out: Path) -> None:
    """The signal was heard in time, and nothing and nobody is left that should not be."""
    assert ended.wait() == code, ended.said
    assert time.monotonic() - ended.signalled_at < 30
    assert "the same command continues" in ended.said
    assert "Traceback" not in ended.said
    wait_until(lambda: not any(map(lives, ended.workers)), 5)
    assert not list(out.glob("runs/*/.*")), "a lease, or half a file"


@pytest.mark.parametrize(("sent", "moment"), PAIRS)
def test_at_any_moment_nothing_is_lost_and_the_same_command_goes_on(
    tmp_path: Path, cache: Path, plugin: Path, undisturbed: dict[int, Path], sent: signal.Signals, moment: str
) -> None:
    out, mine = tmp_path / "out", tmp_path / "cache"
    # without the scores of real images and noise, which would not be computed again
    extractors = Path("gan_bench", "metrics", "extractors")
    shutil.copytree(cache / extractors, mine / extractors)
    arguments = asked(out, plugin, 1)
    with running(Ask(arguments, mine, tmp_path / "log", moment, sent, of_run="s1")) as stopped:
        assert_left_in_order(stopped, CODES[sent], out)
    finished = {"planning": 0, "evaluation reference": 0, "finished": 2, "report": 2}.get(moment, 1)
    over = [folder for folder in run_folders(out) if (folder / "record.json").exists()]
    assert len(over) == finished, "a run that was over is lost, or one that was not is called over"
    before = [contents(folder) for folder in over]
    with running(Ask(arguments, mine, tmp_path / "again")) as again:
        assert again.wait() == 0, again.said
    assert [contents(folder) for folder in over] == before, "what was finished was touched"
    for mine_, quiet in zip(run_folders(out), run_folders(undisturbed[1]), strict=True):
        assert_equal_runs(mine_, quiet)


@pytest.mark.parametrize(("sent", "moment", "to_all"), WORKERS)
def test_workers_stop_with_a_checkpoint_and_none_is_orphaned(
    tmp_path: Path,
    cache: Path,
    plugin: Path,
    undisturbed: dict[int, Path],
    sent: signal.Signals,
    moment: str,
    to_all: bool,
) -> None:
    out = tmp_path / "out"
    arguments = asked(out, plugin, 2)
    with running(Ask(arguments, cache, tmp_path / "log", moment, sent, to_all)) as stopped:
        assert_left_in_order(stopped, CODES[sent], out)
        assert len(stopped.workers) == 2
    for folder in run_folders(out):
        record = folder / "record.json"
        assert not record.exists() or json.loads(record.read_text())["status"] == "done", "no failure of the run's"
    with running(Ask(arguments, cache, tmp_path / "again")) as again:
        assert again.wait() == 0, again.said
    for mine, quiet in zip(run_folders(out), run_folders(undisturbed[2]), strict=True):
        assert_equal_runs(mine, quiet)


def stuck(tmp_path: Path, out: Path, jobs: int) -> tuple[str, ...]:
    plugin = tmp_path / "stuck.py"
    plugin.write_text(STUCK.replace("FILE", repr(str(tmp_path / "stuck"))))
    given = ("run", "--out", str(out), "--models", "vanilla", "--losses", "stuck", "--seeds", "0-1", *TINY)
    return (*given, "--plugin", str(plugin), "--jobs", str(jobs))


def are_stuck(tmp_path: Path, jobs: int) -> bool:
    told = tmp_path / "stuck"
    return told.exists() and len(told.read_text().split()) >= jobs


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_second_interrupt_ends_at_once(tmp_path: Path, cache: Path, jobs: int) -> None:
    with running(Ask(stuck(tmp_path, tmp_path / "out", jobs), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, jobs), 60)
        process.signal(signal.SIGINT)
        time.sleep(0.1)
        process.signal(signal.SIGINT)  # one press of the key, told twice, is one interrupt
        time.sleep(0.9)
        assert process.process.is_alive(), "it did not wait for a place that can be gone on from"
        since = time.monotonic()
        process.signal(signal.SIGINT)
        assert process.wait() == 130
        assert time.monotonic() - since < 1
        wait_until(lambda: not any(map(lives, process.workers)), 5)


def test_no_worker_outlives_a_command_that_is_killed(tmp_path: Path, cache: Path) -> None:
    with running(Ask(stuck(tmp_path, tmp_path / "out", 2), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, 2), 60)
        assert [lives(pid) for pid in process.workers] == [True, True]
        process.signal(signal.SIGKILL)
        wait_until(lambda: not any(map(lives, process.workers)), 5)


def is_hit_first(group: Group, tell: Observer) -> None:
    """Die of the signal that the command hears, too, before it looks whether it heard one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    os.kill(parent.pid or 0, signal.SIGUSR1)
    os._exit(1)


def test_a_signal_that_reaches_a_worker_first_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[object] = []
    monkeypatch.setattr(processes, "POLL_SECONDS", 5.0)  # it hears of the worker's end, and not of the time
    group = Group(())
    with pytest.raises(interruption.Interrupted), interruption.by_signals(), workers():
        processes.execute_in_processes(
            [group], is_hit_first, 1, 1, observer=print, on_lost=lambda *told: lost.append(told), stop=never
        )
    assert lost == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_step_that_does_not_end_is_cut_off(tmp_path: Path, cache: Path, jobs: int) -> None:
    assert processes.PATIENCE_SECONDS < interruption.PATIENCE_SECONDS < 30, "workers, this process, the promise"
    with running(Ask(stuck(tmp_path, tmp_path / "out", jobs), cache, tmp_path / "log")) as process:
        wait_until(lambda: are_stuck(tmp_path, jobs), 60)
        since = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.wait() == 143
        assert 1 < time.monotonic() - since < 5, "the plugin allows 2 s"
        wait_until(lambda: not any(map(lives, process.workers)), 5)


def test_a_signal_leaves_a_checkpoint_and_nobody(tmp_path: Path, cache: Path) -> None:
    """With real processes all the way; the signal goes to the process group, as a terminal's does."""
    long = ("--models", "vanilla", "--epochs", "100000", "--metrics", "is", "--seeds", "0-1")
    with contextlib.ExitStack() as stack:  # both at once, for starting takes longest
        trials = []
        for sent, jobs in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
            out = tmp_path / str(jobs)
            asked = command(out, *long, "--jobs", str(jobs), "--checkpoint-every", "1h")
            trials.append((stack.enter_context(started(cache, asked)), out, sent, jobs))
        for process, out, sent, jobs in trials:
            wait_until(lambda out=out, jobs=jobs: len(list(out.glob("runs/*/epochs.csv"))) >= jobs, 90)
            assert_told_to_end(process, out, sent)


def assert_told_to_end(process: subprocess.Popen[str], out: Path, sent: signal.Signals) -> None:
    workers = below(process)
    since = time.monotonic()
    os.killpg(process.pid, sent)
    _, err = process.communicate(timeout=40)
    assert time.monotonic() - since < 30
    assert process.returncode == CODES[sent], err
    assert "the same command continues" in err
    assert "Traceback" not in err
    wait_until(lambda: not alive(workers), 5)
    assert not list(out.glob("runs/*/.lease*"))
    for folder in out.glob("runs/*"):
        if (folder / "epochs.csv").exists():
            told = len((folder / "epochs.csv").read_text().splitlines()) - 1
            state = json.loads((folder / "checkpoint.json").read_text())["state"]
            assert state["step"] >= told * 16, "what was trained is lost"
            assert not (folder / "record.json").exists()
