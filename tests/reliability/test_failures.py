"""Failures contained: hung runs, dead workers, second tries, memory, disks: one record each, the rest goes on."""

from __future__ import annotations

import copy
import gc
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forks import TINY, Ask, lives, running
from victims import wait_until
from whole_runs import Trial, assert_equal_runs

from gan_bench import pipeline
from gan_bench.errors import RunError
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses
from gan_bench.record import Progress
from gan_bench.store.store import Store
from gan_bench.training.trainer import Trainer

Make = Callable[..., Trial]


class Moody(BCE):
    """Fails on the first calls, as `how` says, and is well afterwards."""

    bad_calls = 0
    how: Exception = RuntimeError("a bad day")
    lanes: list[int] = []

    def generator(self, fake_logits: Any) -> Any:
        if fake_logits.device.type == "meta":  # its arithmetic is counted
            return super().generator(fake_logits)
        Moody.lanes.append(fake_logits.shape[0])
        if Moody.bad_calls > 0:
            Moody.bad_calls -= 1
            raise copy.copy(Moody.how)  # else its traceback would hold on to all that was there
        return super().generator(fake_logits)


@pytest.fixture
def moody(borrowed_registries: None, monkeypatch: pytest.MonkeyPatch) -> type[Moody]:
    losses.register("moody")(Moody)
    monkeypatch.setattr(Moody, "bad_calls", 1)
    monkeypatch.setattr(Moody, "lanes", [])
    monkeypatch.setattr(Moody, "how", RuntimeError("a bad day"))
    return Moody


def records(out: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    return {record["run_id"].split("-")[1]: record for record in found}


def test_a_failure_keeps_its_reason_and_its_log(trial: Make, moody: type[Moody]) -> None:
    (record,) = trial(losses=("moody",), epochs=1).run()
    assert record.status == "failed"
    assert record.reason.startswith("RuntimeError: a bad day")
    assert "Traceback" in record.log_tail
    assert record.log_tail.strip().endswith("RuntimeError: a bad day")


def test_retries_try_again_at_once(trial: Make, moody: type[Moody], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moody, "bad_calls", 2)
    (record,) = trial(losses=("moody",), epochs=1, retries=1).run()
    assert (record.status, record.attempts) == ("failed", 2)
    monkeypatch.setattr(moody, "bad_calls", 2)
    (record,) = trial("other", losses=("moody",), epochs=1, retries=2).run()
    assert (record.status, record.attempts) == ("done", 3)


def test_failed_runs_are_tried_again_by_the_same_command_unless_told_otherwise(
    trial: Make, moody: type[Moody]
) -> None:
    assert trial(losses=("moody",), epochs=1).run()[0].status == "failed"
    assert trial(losses=("moody",), epochs=1, retry_failed=False).run()[0].status == "failed"
    (record,) = trial(losses=("moody",), epochs=1).run()
    assert (record.status, record.attempts) == ("done", 2)


def too_much(how: str) -> None:
    """Ask for more memory than there is: of Python, of NumPy, of torch; and as torch says it of a GPU."""
    if how == "python":
        bytearray(2**62)
    elif how == "numpy":
        np.empty(2**62, dtype=np.uint8)
    elif how == "torch":
        torch.empty(2**62, dtype=torch.uint8)
    elif how == "cuda":  # there need be no GPU here
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 3.00 GiB free")
    else:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("how", ["python", "numpy", "torch", "cuda", "cublas"])
def test_out_of_memory_is_tried_once_more_with_half_the_lanes(
    trial: Make, moody: type[Moody], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as fault:
        too_much(how)
    monkeypatch.setattr(moody, "how", fault.value)
    found = trial(losses=("moody",), epochs=1, seeds=(0, 1, 2, 3), lanes=4).run()
    assert [(record.status, record.lanes, record.attempts) for record in found] == [("done", 2, 2)] * 4
    monkeypatch.setattr(moody, "bad_calls", 99)
    monkeypatch.setattr(moody, "lanes", [])
    found = trial("always", losses=("moody",), epochs=1, seeds=(0, 1, 2, 3), lanes=4).run()
    assert [(record.status, record.attempts) for record in found] == [("failed", 2)] * 4
    assert moody.lanes == [4, 2, 2], "once, not for ever"
    reasons = [run.record.reason for run in trial("always").stored()]
    assert all(type(fault.value).__name__ in reason for reason in reasons)


def test_other_failures_are_not_tried_again_for_memory(trial: Make, moody: type[Moody]) -> None:
    found = trial(losses=("moody",), epochs=1, seeds=(0, 1), lanes=2).run()
    assert [(record.status, record.attempts, record.lanes) for record in found] == [("failed", 1, 2)] * 2


def test_what_a_failed_group_held_is_free_before_the_next_is_begun(trial: Make, moody: type[Moody]) -> None:
    held: list[int] = []
    gc.collect()

    def count(news: Progress) -> None:
        if news.kind == "group":
            held.append(sum(type(thing) is Trainer for thing in gc.get_objects()))

    trial(losses=("moody",), epochs=1, seeds=(0, 1, 2)).run(count)
    assert len(held) == 3
    assert len(set(held)) == 1, "what failed is still in memory"


def test_a_run_whose_outcome_cannot_be_read_is_not_tried_for_ever(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "outcome", lambda self, spec: None)
    with pytest.raises(RunError, match="without an outcome that can be read"):
        trial(epochs=1).run()


def test_where_a_failure_cannot_be_recorded_nobody_waits_for_the_run(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease goes though the disk refuses the record: other machines would watch it for a while."""

    def die(group: Any, observer: Any, **given: Any) -> None:
        raise RuntimeError("a defect")

    def refuse(*given: Any) -> None:
        raise RunError("could not write: no space left on device")

    monkeypatch.setattr(pipeline, "run_group", die)
    monkeypatch.setattr(Store, "finish", refuse)
    asked = trial(epochs=1)
    with pytest.raises(RunError, match="no space"):
        asked.run()
    assert not list(asked.out.glob("runs/*/.lease*"))


def test_fail_fast_begins_nothing_new_after_a_failure(trial: Make, moody: type[Moody]) -> None:
    found = trial(losses=("moody",), epochs=1, seeds=(0, 1, 2), fail_fast=True).run()
    assert [record.status for record in found] == ["failed"]


PLUGIN = """
import os, resource, signal, subprocess, time
from pathlib import Path
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses

@losses.register("bad")
class Bad(BCE):
    def generator(self, logits):
        if logits.device.type != "meta" and not Path(FOLDER, "well").exists():
            print("the last words", flush=True)
            self.go_wrong()
        return super().generator(logits)

    def go_wrong(self):
"""
HANGS = """
        children = [subprocess.Popen(["sleep", "600"], start_new_session=apart) for apart in (False, True)]
        orphan = subprocess.check_output(["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], text=True)
        Path(FOLDER, "grandchildren").write_text(" ".join([orphan, *(str(child.pid) for child in children)]))
        time.sleep(600)
"""
IS_KILLED = """
        os.kill(os.getpid(), signal.SIGKILL)
"""
LEAVES = """
        os._exit(7)
"""
STARVES = """
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""
IS_WELL = """
        pass
"""


def bad_and_good(tmp_path: Path, wrong: str, *options: str) -> tuple[str, ...]:
    """The command for a run that goes `wrong` and one that does not, until there is a file called `well`."""
    plugin = tmp_path / "bad.py"
    plugin.write_text((PLUGIN + wrong).replace("FOLDER", repr(str(tmp_path))))
    given = ("run", "--out", str(tmp_path / "out"), "--models", "vanilla", "--losses", "bad,bce", *TINY)
    return (*given, "--plugin", str(plugin), *options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "options", "reason"),
    [
        (HANGS, ("--run-timeout", "4s"), "it took longer than 4 s and was ended (--run-timeout)"),
        (HANGS, ("--run-timeout", "4s", "--jobs", "2"), "it took longer than 4 s and was ended (--run-timeout)"),
        (
            IS_KILLED,
            ("--jobs", "2"),
            "its process was ended by SIGKILL; most often the machine ran out of memory",
        ),
        (LEAVES, ("--jobs", "2"), "its process ended in the middle, with exit code 7"),
    ],
    ids=["hangs", "hangs beside another", "is killed", "leaves"],
)
def test_a_process_that_is_lost_is_one_record_and_the_rest_goes_on(
    tmp_path: Path, cache: Path, wrong: str, options: tuple[str, ...], reason: str
) -> None:
    asked = bad_and_good(tmp_path, wrong, *options)
    with running(Ask(asked, cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.said
        assert "Traceback" not in process.said
        assert not any(map(lives, process.workers))
    found = records(tmp_path / "out")
    assert {loss: record["status"] for loss, record in found.items()} == {"bad": "failed", "bce": "done"}
    assert (found["bad"]["reason"], found["bad"]["attempts"]) == (reason, 1)
    assert found["bad"]["log_tail"].endswith("the last words")
    assert not list((tmp_path / "out").glob("runs/*/.lease*"))
    if wrong == HANGS:
        grandchildren = [int(pid) for pid in (tmp_path / "grandchildren").read_text().split()]
        assert len(grandchildren) == 3
        wait_until(lambda: not any(map(lives, grandchildren)), 5)
    (tmp_path / "well").touch()
    with running(Ask((*asked, "--no-retry-failed"), cache, tmp_path / "left")) as process:
        assert process.wait() == 1, "a failed run was called a result"
    assert records(tmp_path / "out") == found
    with running(Ask((*asked, "--retry-failed", "--run-timeout", "60s"), cache, tmp_path / "again")) as process:
        assert process.wait() == 0, process.said
    after = records(tmp_path / "out")
    assert (after["bad"]["status"], after["bad"]["attempts"]) == ("done", 2)
    assert after["bce"] == found["bce"], "what was done was done again"


@pytest.mark.slow
def test_retries_are_counted(tmp_path: Path, cache: Path) -> None:
    asked = bad_and_good(tmp_path, IS_KILLED, "--jobs", "2", "--retries", "2")
    with running(Ask(asked, cache, tmp_path / "log")) as process:
        assert process.wait() == 1, process.said
    found = records(tmp_path / "out")
    assert (found["bad"]["attempts"], found["bce"]["attempts"]) == (3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("lack", ["disk", "handles"])
def test_a_disk_that_refuses_is_one_clear_line_and_harms_nothing(tmp_path: Path, cache: Path, lack: str) -> None:
    out = tmp_path / "out"
    small = ("run", "--out", str(out), "--models", "vanilla", "--set", "width=0.0625", *TINY)
    with running(Ask(small, cache, tmp_path / "small")) as process:
        assert process.wait() == 0, process.said
    before = {path: path.read_bytes() for path in (out / "runs").rglob("*") if path.is_file()}
    large = (*bad_and_good(tmp_path, STARVES if lack == "handles" else IS_WELL), "--set", "width=1")
    limits = {"FSIZE": 400_000} if lack == "disk" else {}
    with running(Ask(large, cache, tmp_path / "large", limits=limits)) as process:
        assert process.wait() == 1, process.said
        assert ("ulimit -f" if lack == "disk" else "ulimit -n") in process.said
        assert "Traceback" not in process.said
    assert {path: path.read_bytes() for path in before} == before
    (tmp_path / "well").touch()
    with running(Ask(large, cache, tmp_path / "again")) as process:
        assert process.wait() == 0, process.said
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_reader_that_goes_away_is_no_failure_of_a_run(tmp_path: Path, cache: Path, jobs: str) -> None:
    """In the middle of a training, as where `| head` has seen enough."""
    asked = ("run", "--out", str(tmp_path / "out"), "--models", "vanilla", "--seeds", "0-1", "--json", *TINY)
    asked = (*asked, "--epochs", "500", "--jobs", jobs)
    os.mkfifo(tmp_path / "pipe")
    with running(Ask(asked, cache, tmp_path / "log", stdout=tmp_path / "pipe")) as process:
        with (tmp_path / "pipe").open() as reader:
            assert any(json.loads(line).get("event") == "epoch" for line in reader)
        assert process.wait() == 1, process.said
        assert "Traceback" not in process.said
        wait_until(lambda: not any(map(lives, process.workers)), 5)
    assert not [record for record in records(tmp_path / "out").values() if record["status"] == "failed"]
    assert not list((tmp_path / "out").glob("runs/*/.lease*"))


class Spoilt(BCE):
    """NaN for one lane of four from a given step on."""

    lane = -1
    steps = 0

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        loss = super().discriminator(real_logits, fake_logits)
        if loss.shape == (4,):
            Spoilt.steps += 1
            if Spoilt.steps > 8 and Spoilt.lane >= 0:
                loss = loss * torch.where(torch.arange(4) == Spoilt.lane, torch.nan, 1.0)
        return loss


@pytest.mark.parametrize("lane", [0, 2])
@pytest.mark.parametrize("model", ["vanilla", "dcgan28"])
def test_a_lane_that_diverges_leaves_its_neighbours_bit_for_bit(
    trial: Make, borrowed_registries: None, monkeypatch: pytest.MonkeyPatch, model: str, lane: int
) -> None:
    losses.register("spoilt")(Spoilt)
    asked = {"models": (model,), "losses": ("spoilt",), "seeds": (0, 1, 2, 3), "lanes": 4}
    monkeypatch.setattr(Spoilt, "lane", -1)
    quiet = trial("quiet", **asked)
    assert {record.status for record in quiet.run()} == {"done"}
    monkeypatch.setattr(Spoilt, "lane", lane)
    monkeypatch.setattr(Spoilt, "steps", 0)
    hurt = trial("hurt", **asked)
    found = hurt.run()
    assert [record.status for record in found] == ["diverged" if n == lane else "done" for n in range(4)]
    diverged = found[lane]
    assert diverged.reason == f"d_loss is nan and g_loss is nan in epoch {diverged.epochs}"
    assert 1 < diverged.epochs < 4, "it was not one epoch in the middle"
    assert diverged.steps == diverged.epochs * 4
    assert (diverged.verdict, diverged.best_epoch, hurt.stored()[lane].scores) == ("", None, [])
    for number, (mine, undisturbed) in enumerate(zip(hurt.folders(), quiet.folders(), strict=True)):
        if number != lane:
            assert_equal_runs(mine, undisturbed)
