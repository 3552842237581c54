"""Failures: hung runs, dead workers, retries, memory, disks: one record each, and the other runs continue."""

from __future__ import annotations

import copy
import gc
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.forks import TINY, Launch, is_alive, running
from helpers.victims import wait_until
from helpers.whole_runs import Trial, assert_equal_runs, training_files
from torch._subclasses.fake_tensor import FakeTensor

from gan_bench.core.errors import RunError
from gan_bench.core.events import Event, GroupStarted
from gan_bench.losses.base import losses
from gan_bench.losses.bce import BCE
from gan_bench.runner import preflight
from gan_bench.store.store import Store
from gan_bench.training.trainer import Trainer

Make = Callable[..., Trial]


class FlakyLoss(BCE):
    """Raises `error` in the first `bad_calls` calls; `lanes` are those of each call."""

    bad_calls = 0
    error: Exception = RuntimeError("flaky")
    lanes: list[int] = []

    def generator(self, real_logits: Any, fake_logits: Any) -> Any:
        if isinstance(fake_logits, FakeTensor):  # FLOPs are counted
            return super().generator(real_logits, fake_logits)
        FlakyLoss.lanes.append(fake_logits.shape[0])
        if FlakyLoss.bad_calls > 0:
            FlakyLoss.bad_calls -= 1
            raise copy.copy(FlakyLoss.error)  # its traceback would keep every frame alive
        return super().generator(real_logits, fake_logits)


@pytest.fixture
def flaky(borrowed_registries: None, monkeypatch: pytest.MonkeyPatch) -> type[FlakyLoss]:
    losses.register("flaky")(FlakyLoss)
    monkeypatch.setattr(preflight, "check_plugins", lambda *given: None)  # it fails in training only
    monkeypatch.setattr(FlakyLoss, "bad_calls", 1)
    monkeypatch.setattr(FlakyLoss, "lanes", [])
    monkeypatch.setattr(FlakyLoss, "error", RuntimeError("flaky"))
    return FlakyLoss


def records(out: Path) -> dict[str, dict[str, Any]]:
    """Records by the run's loss."""
    found = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    return {record["run_id"].split("-")[1]: record for record in found}


def test_a_failure_is_recorded_with_its_reason_and_traceback(trial: Make, flaky: type[FlakyLoss]) -> None:
    (record,) = trial(losses=("flaky",), epochs=1).run()
    assert record.status == "failed"
    assert record.reason.startswith("RuntimeError: flaky")
    assert "Traceback" in record.log_tail
    assert record.log_tail.strip().endswith("RuntimeError: flaky")


def test_retries_are_immediate(trial: Make, flaky: type[FlakyLoss], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flaky, "bad_calls", 2)
    (record,) = trial(losses=("flaky",), epochs=1, retries=1).run()
    assert (record.status, record.attempts) == ("failed", 2)
    monkeypatch.setattr(flaky, "bad_calls", 2)
    (record,) = trial("other", losses=("flaky",), epochs=1, retries=2).run()
    assert (record.status, record.attempts) == ("done", 3)


def test_the_same_command_retries_failed_runs_unless_switched_off(trial: Make, flaky: type[FlakyLoss]) -> None:
    assert trial(losses=("flaky",), epochs=1).run()[0].status == "failed"
    assert trial(losses=("flaky",), epochs=1, retry_failed=False).run()[0].status == "failed"
    (record,) = trial(losses=("flaky",), epochs=1).run()
    assert (record.status, record.attempts) == ("done", 2)


def run_out_of_memory(how: str) -> None:
    """Request more memory than there is: of Python, NumPy or torch; or raise what torch raises for a GPU."""
    if how == "python":
        bytearray(2**62)
    elif how == "numpy":
        np.empty(2**62, dtype=np.uint8)
    elif how == "torch":
        torch.empty(2**62, dtype=torch.uint8)
    elif how == "cuda":  # needs no GPU
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 3.00 GiB free")
    else:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("how", ["python", "numpy", "torch", "cuda", "cublas"])
def test_out_of_memory_is_retried_once_with_half_the_lanes(
    trial: Make, flaky: type[FlakyLoss], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as error:
        run_out_of_memory(how)
    monkeypatch.setattr(flaky, "error", error.value)
    matrix = {"losses": ("flaky",), "epochs": 1, "seeds": (0, 1, 2, 3), "lanes": 4, "metrics": ("fid",)}
    found = trial(**matrix).run()
    assert [(record.status, record.lanes, record.attempts) for record in found] == [("done", 2, 2)] * 4
    assert flaky.lanes[:2] == [4, 2]


def test_lasting_lack_of_memory_is_not_retried_again(
    trial: Make, flaky: type[FlakyLoss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flaky, "error", MemoryError())
    monkeypatch.setattr(flaky, "bad_calls", 99)
    found = trial(losses=("flaky",), epochs=1, seeds=(0, 1, 2, 3), lanes=4).run()
    assert [(record.status, record.attempts) for record in found] == [("failed", 2)] * 4
    assert flaky.lanes == [4, 2, 2], "once, and not repeatedly"
    assert all("MemoryError" in record.reason for record in found)


def test_other_failures_are_not_retried_with_fewer_lanes(trial: Make, flaky: type[FlakyLoss]) -> None:
    found = trial(losses=("flaky",), epochs=1, seeds=(0, 1), lanes=2).run()
    assert [(record.status, record.attempts, record.lanes) for record in found] == [("failed", 1, 2)] * 2


def test_a_failed_group_is_released_before_the_next_one_starts(trial: Make, flaky: type[FlakyLoss]) -> None:
    trainers: list[int] = []
    gc.collect()

    def count(event: Event) -> None:
        if isinstance(event, GroupStarted):
            trainers.append(sum(type(each) is Trainer for each in gc.get_objects()))

    trial(losses=("flaky",), epochs=1, seeds=(0, 1, 2), metrics=("fid",)).run(count)
    assert len(trainers) == 3
    assert len(set(trainers)) == 1, "the failed trainer is still in memory"


def test_a_run_whose_outcome_is_unreadable_is_not_retried_endlessly(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "outcome", lambda self, spec: None)
    with pytest.raises(RunError, match="no readable outcome after 6 attempts"):
        trial(epochs=1, metrics=("fid",)).run()


def test_a_failure_that_cannot_be_recorded_releases_the_lease(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise other machines would wait for the run until its heartbeat counts as stopped."""

    def die(group: Any, on_event: Any, **given: Any) -> None:
        raise RuntimeError("a defect")

    def refuse(*given: Any) -> None:
        raise RunError("could not write: no space left on device")

    monkeypatch.setattr("gan_bench.runner.run_group.run_group", die)
    monkeypatch.setattr(Store, "finish", refuse)
    matrix = trial(epochs=1)
    with pytest.raises(RunError, match="no space"):
        matrix.run()
    assert not list(matrix.out.glob("runs/*/.lease*"))


def test_fail_fast_starts_nothing_after_a_failure(trial: Make, flaky: type[FlakyLoss]) -> None:
    found = trial(losses=("flaky",), epochs=1, seeds=(0, 1, 2), fail_fast=True).run()
    assert [record.status for record in found] == ["failed"]


PLUGIN = """
import os, resource, signal, subprocess, time
from pathlib import Path
from torch._subclasses.fake_tensor import FakeTensor
from gan_bench.losses.bce import BCE
from gan_bench.losses.base import losses

@losses.register("bad")
class Bad(BCE):
    def generator(self, real_logits, fake_logits):
        in_training = not isinstance(fake_logits, FakeTensor) and fake_logits.shape[-1] > 8
        if in_training and not Path(FOLDER, "healthy").exists():
            print("the last words", flush=True)
            self.fail()
        return super().generator(real_logits, fake_logits)

    def fail(self):
"""
HANGS = """
        children = [subprocess.Popen(["sleep", "600"], start_new_session=apart) for apart in (False, True)]
        orphan = subprocess.check_output(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], text=True)
        Path(FOLDER, "grandchildren").write_text(" ".join([orphan, *(str(child.pid) for child in children)]))
        time.sleep(600)
"""
KILLED = """
        os.kill(os.getpid(), signal.SIGKILL)
"""
EXITS = """
        os._exit(7)
"""
NO_HANDLES = """
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""
HEALTHY = """
        pass
"""


EVALUATION_PLUGIN = """
import multiprocessing, os, signal
from pathlib import Path
from gan_bench.plugins import Column, Metric, metrics

class Deadly(Metric):
    title, source, columns = "Deadly", "a test", (Column("deadly", "Deadly", "lower"),)

    def bind(self, real):
        def value(fake):
            worker = multiprocessing.current_process().name == "gan_bench worker"
            if worker and not Path(FOLDER, "healthy").exists():
                print("the last words", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return {"deadly": 1.0}
        return value

metrics.register("deadly")(Deadly())
"""


def bad_and_good(tmp_path: Path, failure: str, *options: str) -> tuple[str, ...]:
    """The command for a run that fails as `failure` says, until a file `healthy` exists, and one that doesn't."""
    plugin = tmp_path / "bad.py"
    plugin.write_text((PLUGIN + failure).replace("FOLDER", repr(str(tmp_path))))
    given = ("run", "--out", str(tmp_path / "out"), "--models", "vanilla", "--losses", "bad,bce", *TINY)
    return (*given, "--metrics", "is", "--plugin", str(plugin), *options)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("os._exit(0)", "its process exited while running, with exit code 0"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("raise BrokenPipeError('not our pipe')", "BrokenPipeError: not our pipe (bad.py:"),
                ("raise SystemExit(0)", "SystemExit: 0 (bad.py:"),
                ("raise KeyboardInterrupt", "KeyboardInterrupt (bad.py:"),
                ("import ctypes; ctypes.string_at(0)", "its process was killed by SIGSEGV"),
            )
        ),
    ],
)
def test_however_user_code_ends_it_is_one_record_and_the_neighbour_trains(
    tmp_path: Path, cache: Path, failure: str, reason: str
) -> None:
    with running(Launch(bad_and_good(tmp_path, f"        {failure}\n"), cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.output
    found = records(tmp_path / "out")
    assert {loss: record["status"] for loss, record in found.items()} == {"bad": "failed", "bce": "done"}
    assert found["bad"]["reason"].startswith(reason)
    assert re.search(r"the last words|bad\.py", found["bad"]["log_tail"])
    assert f"failed: {found['bad']['run_id']}: {reason}" in process.output


@pytest.mark.slow
def test_a_plugin_that_changes_the_working_directory_moves_no_result(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    leaves = "        os.chdir('/')\nos.chdir('/')\n"
    command = ("run", "--out", "out", *bad_and_good(tmp_path, leaves)[3:])
    with running(Launch(command, cache, tmp_path / "log", report=True)) as process:
        assert process.wait() == 0, process.output
    assert len(records(tmp_path / "here" / "out")) == 2
    assert (tmp_path / "here" / "out" / "report" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "options", "reason"),
    [
        (HANGS, ("--run-timeout", "15s"), "killed after 15 s (--run-timeout)"),
        (HANGS, ("--run-timeout", "15s", "--jobs", "2"), "killed after 15 s (--run-timeout)"),
        (KILLED, ("--jobs", "2"), "its process was killed by SIGKILL; most often the machine ran out of memory"),
        (EXITS, ("--jobs", "2"), "its process exited while running, with exit code 7"),
    ],
    ids=["hangs", "hangs beside another", "is killed", "exits"],
)
def test_a_lost_process_is_one_record_and_the_other_runs_continue(
    tmp_path: Path, cache: Path, failure: str, options: tuple[str, ...], reason: str
) -> None:
    command = bad_and_good(tmp_path, failure, *options)
    with running(Launch(command, cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.output
        assert "Traceback" not in process.output
        assert not any(map(is_alive, process.workers))
    found = records(tmp_path / "out")
    assert {loss: record["status"] for loss, record in found.items()} == {"bad": "failed", "bce": "done"}
    assert (found["bad"]["reason"], found["bad"]["attempts"]) == (reason, 1)
    assert found["bad"]["log_tail"].endswith("the last words")
    assert not list((tmp_path / "out").glob("runs/*/.lease*"))
    if failure == HANGS:
        grandchildren = [int(pid) for pid in (tmp_path / "grandchildren").read_text().split()]
        assert len(grandchildren) == 3
        wait_until(lambda: not any(map(is_alive, grandchildren)), 5)
    (tmp_path / "healthy").touch()
    with running(Launch((*command, "--no-retry-failed"), cache, tmp_path / "not retried")) as process:
        assert process.wait() == 1, "a failed run was called a result"
    assert records(tmp_path / "out") == found
    retry = (*command, "--retry-failed", "--run-timeout", "60s")
    with running(Launch(retry, cache, tmp_path / "again")) as process:
        assert process.wait() == 0, process.output
    after = records(tmp_path / "out")
    assert (after["bad"]["status"], after["bad"]["attempts"]) == ("done", 2)
    assert after["bce"] == found["bce"], "a finished run was repeated"


@pytest.mark.slow
def test_a_worker_killed_while_evaluating_keeps_the_training(tmp_path: Path, cache: Path) -> None:
    """The run is done, the reason is its evaluation's, and the same command evaluates it without training."""
    plugin = tmp_path / "deadly.py"
    plugin.write_text(EVALUATION_PLUGIN.replace("FOLDER", repr(str(tmp_path))))
    given = ("run", "--out", str(tmp_path / "out"), "--models", "vanilla", "--seeds", "0-1", "--jobs", "2", *TINY)
    command = (*given, "--metrics", "is,deadly", "--plugin", str(plugin), "--json")
    with running(Launch(command, cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.output
        assert "Traceback" not in process.output
    folders = sorted((tmp_path / "out" / "runs").iterdir())
    trainings = [training_files(folder) for folder in folders]
    for folder in folders:
        record = json.loads((folder / "record.json").read_text())
        assert (record["status"], record["attempts"]) == ("done", 1)
        assert record["evaluation_failure"].startswith("its process was killed by SIGKILL")
        assert not list(folder.glob(".lease*"))
    (tmp_path / "healthy").touch()
    with running(Launch(command, cache, tmp_path / "again")) as process:
        assert process.wait() == 0, process.output
    assert '"event": "epoch"' not in process.output
    assert [training_files(folder) for folder in folders] == trainings
    for folder in folders:
        record = json.loads((folder / "record.json").read_text())
        assert (record["evaluation_failure"], record["attempts"]) == ("", 1)
        assert "deadly" in {score["metric"] for score in json.loads((folder / "scores.json").read_text())}


@pytest.mark.slow
def test_retries_are_counted(tmp_path: Path, cache: Path) -> None:
    command = bad_and_good(tmp_path, KILLED, "--jobs", "2", "--retries", "2")
    with running(Launch(command, cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.output
    found = records(tmp_path / "out")
    assert (found["bad"]["attempts"], found["bce"]["attempts"]) == (3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["file size", "handles"])
def test_a_refusing_system_is_one_clear_line_and_harms_no_finished_run(
    tmp_path: Path, cache: Path, limit: str
) -> None:
    out = tmp_path / "out"
    small = ("run", "--out", str(out), "--models", "vanilla", "--set", "width=0.0625", *TINY)
    with running(Launch(small, cache, tmp_path / "small")) as process:
        assert process.wait() == 0, process.output
    before = {path: path.read_bytes() for path in (out / "runs").rglob("*") if path.is_file()}
    large = (*bad_and_good(tmp_path, NO_HANDLES if limit == "handles" else HEALTHY), "--set", "width=1")
    limits = {"FSIZE": 400_000} if limit == "file size" else {}
    with running(Launch(large, cache, tmp_path / "large", limits=limits)) as process:
        assert process.wait() == 1, process.output
        assert ("ulimit -f" if limit == "file size" else "ulimit -n") in process.output
        assert "Traceback" not in process.output
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "healthy").touch()
    with running(Launch(large, cache, tmp_path / "again")) as process:
        assert process.wait() == 0, process.output
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_closed_output_is_not_recorded_as_a_failed_run(tmp_path: Path, cache: Path, jobs: str) -> None:
    """The reader goes away in the middle of a training, as `| head` does."""
    command = ("run", "--out", str(tmp_path / "out"), "--models", "vanilla", "--seeds", "0-1", "--json", *TINY)
    command = (*command, "--epochs", "500", "--jobs", jobs)
    os.mkfifo(tmp_path / "pipe")
    with running(Launch(command, cache, tmp_path / "log", stdout=tmp_path / "pipe")) as process:
        with (tmp_path / "pipe").open() as reader:
            assert any(json.loads(line).get("event") == "epoch" for line in reader)
        assert process.wait() == 1, process.output
        assert "Traceback" not in process.output
        wait_until(lambda: not any(map(is_alive, process.workers)), 5)
    assert not [record for record in records(tmp_path / "out").values() if record["status"] == "failed"]
    assert not list((tmp_path / "out").glob("runs/*/.lease*"))


class DivergingLoss(BCE):
    """NaN for one lane of four from a given step on."""

    lane = -1
    steps = 0

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        loss = super().discriminator(real_logits, fake_logits)
        if loss.shape == (4,):
            DivergingLoss.steps += 1
            if DivergingLoss.steps > 8 and DivergingLoss.lane >= 0:
                loss = loss * torch.where(torch.arange(4) == DivergingLoss.lane, torch.nan, 1.0)
        return loss


@pytest.mark.parametrize(
    ("model", "lane"),
    [("vanilla", 0), ("vanilla", 2), *(pytest.param("dcgan28", lane, marks=pytest.mark.slow) for lane in (0, 2))],
)
def test_a_diverging_lane_leaves_its_neighbours_bit_identical(
    trial: Make, borrowed_registries: None, monkeypatch: pytest.MonkeyPatch, model: str, lane: int
) -> None:
    losses.register("diverging")(DivergingLoss)
    matrix = {"models": (model,), "losses": ("diverging",), "seeds": (0, 1, 2, 3), "lanes": 4, "metrics": ("fid",)}
    monkeypatch.setattr(DivergingLoss, "lane", -1)
    undisturbed = trial("undisturbed", **matrix)
    assert {record.status for record in undisturbed.run()} == {"done"}
    monkeypatch.setattr(DivergingLoss, "lane", lane)
    monkeypatch.setattr(DivergingLoss, "steps", 0)
    diverging = trial("diverging", **matrix)
    found = diverging.run()
    assert [record.status for record in found] == ["diverged" if n == lane else "done" for n in range(4)]
    diverged = found[lane]
    assert re.fullmatch(r"d_loss is nan(?: and g_loss is nan)? at step \d+", diverged.reason), diverged.reason
    assert 0 < diverged.epochs < 3, "not in a middle epoch"
    assert diverged.steps == (diverged.epochs + 1) * 4
    assert (diverged.verdict, diverged.best_epoch, diverging.stored()[lane].scores) == ("", None, [])
    for number, (mine, expected) in enumerate(zip(diverging.folders(), undisturbed.folders(), strict=True)):
        if number != lane:
            assert_equal_runs(mine, expected)
