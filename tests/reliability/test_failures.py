"""Failures contained: hung runs, second tries, memory, disks and limits: one record each, the rest goes on."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from victims import command, environment
from whole_runs import Trial

from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses

Make = Callable[..., Trial]
PLUGIN = """
import subprocess, time
from pathlib import Path
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses

@losses.register("hangs")
class Hangs(BCE):
    def generator(self, logits):
        print("about to hang", flush=True)
        child = subprocess.Popen(["sleep", "600"])
        Path(FOLDER, "grandchild").write_text(str(child.pid))
        time.sleep(600)
"""


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
            raise Moody.how
        return super().generator(fake_logits)


@pytest.fixture
def moody(borrowed_registries: None, monkeypatch: pytest.MonkeyPatch) -> type[Moody]:
    losses.register("moody")(Moody)
    monkeypatch.setattr(Moody, "bad_calls", 1)
    monkeypatch.setattr(Moody, "lanes", [])
    monkeypatch.setattr(Moody, "how", RuntimeError("a bad day"))
    return Moody


def run(cache: Path, arguments: list[str], **limits: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return subprocess.run(
        arguments,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
    )


def records(out: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    return {record["run_id"].split("-")[1]: record for record in found}


@pytest.mark.slow
def test_a_run_that_hangs_is_ended_with_its_children_and_the_others_go_on(tmp_path: Path, cache: Path) -> None:
    plugin = tmp_path / "hangs.py"
    plugin.write_text(PLUGIN.replace("FOLDER", repr(str(tmp_path))))
    out = tmp_path / "out"
    asked = command(out, "--models", "vanilla", "--losses", "hangs,bce", "--plugin", str(plugin))
    done = run(cache, [*asked, "--run-timeout", "20s"])
    assert done.returncode == 1, done.stderr
    found = records(out)
    assert (found["hangs"]["status"], found["bce"]["status"]) == ("failed", "done")
    assert found["hangs"]["reason"] == "it took longer than 20 s and was ended (--run-timeout)"
    assert found["hangs"]["log_tail"].endswith("about to hang")
    grandchild = int((tmp_path / "grandchild").read_text())
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE


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


@pytest.mark.parametrize(
    "how",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")],
)
def test_out_of_memory_is_tried_once_more_with_half_the_lanes(
    trial: Make, moody: type[Moody], monkeypatch: pytest.MonkeyPatch, how: Exception
) -> None:
    monkeypatch.setattr(moody, "how", how)
    found = trial(losses=("moody",), epochs=1, seeds=(0, 1, 2, 3), lanes=4).run()
    assert [(record.status, record.lanes, record.attempts) for record in found] == [("done", 2, 2)] * 4
    monkeypatch.setattr(moody, "bad_calls", 99)
    monkeypatch.setattr(moody, "lanes", [])
    found = trial("always", losses=("moody",), epochs=1, seeds=(0, 1), lanes=2).run()
    assert [(record.status, record.attempts) for record in found] == [("failed", 2)] * 2
    assert moody.lanes == [2, 1, 1], "once, not for ever"


def test_fail_fast_begins_nothing_new_after_a_failure(trial: Make, moody: type[Moody]) -> None:
    found = trial(losses=("moody",), epochs=1, seeds=(0, 1, 2), fail_fast=True).run()
    assert [record.status for record in found] == ["failed"]


STARVES = """
import resource
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses

@losses.register("starves")
class Starves(BCE):
    def generator(self, logits):
        if STARVE:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return super().generator(logits)
"""


@pytest.mark.slow
@pytest.mark.parametrize("lack", ["disk", "handles"])
def test_a_disk_that_refuses_is_one_clear_line_and_harms_nothing(tmp_path: Path, cache: Path, lack: str) -> None:
    out, plugin = tmp_path / "out", tmp_path / "starves.py"
    plugin.write_text(STARVES.replace("STARVE:", "True:" if lack == "handles" else "False:"))
    small = command(out, "--models", "vanilla", "--set", "width=0.0625")
    large = command(out, "--models", "vanilla", "--losses", "starves", "--plugin", str(plugin), "--set", "width=1")
    limits = {"FSIZE": 400_000} if lack == "disk" else {}
    told = "ulimit -f" if lack == "disk" else "ulimit -n"
    assert run(cache, small).returncode == 0
    before = {path: path.read_bytes() for path in (out / "runs").rglob("*") if path.is_file()}
    refused = run(cache, large, **limits)
    assert refused.returncode == 1, refused.stderr
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert {path: path.read_bytes() for path in before} == before
    plugin.write_text(STARVES.replace("STARVE:", "False:"))
    assert run(cache, large).returncode == 0
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]
