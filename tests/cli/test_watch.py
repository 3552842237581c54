"""What is said while runs are made: plain lines without a terminal, bars on one, JSON lines if asked for."""

from __future__ import annotations

import io
import math
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from cli_words import json_lines
from rich.console import Console

from gan_bench import interruption
from gan_bench.cli import profile as printing
from gan_bench.cli import watch as module
from gan_bench.cli.bars import bars
from gan_bench.cli.watch import Watch
from gan_bench.record import EpochRecord, Progress, RunRecord, StepProfile, TimeShare
from gan_bench.spec import Evaluation, RunSpec


def made(model: str, seed: int, lr_d: float = 2e-4) -> RunSpec:
    return RunSpec(
        model=model,
        loss="bce",
        dataset="digits",
        image_size=28,
        channels=1,
        seed=seed,
        lr_g=2e-4,
        lr_d=lr_d,
        batch_size=64,
        epochs=100,
        settings={},
        evaluation=Evaluation(),
    )


SPECS = (made("vanilla", 0), made("vanilla", 1), made("dcgan28", 10, lr_d=1e-4))


def plan(finished: int = 0) -> Any:
    return SimpleNamespace(specs=SPECS, finished=SPECS[:finished], preset="quick", device="cpu")


def epoch(spec: RunSpec, number: int, loss: float = 0.5) -> Progress:
    losses = {"d_loss": loss, "g_loss": 1.5, "d_real_accuracy": 0.5, "d_fake_accuracy": 0.5}
    times = {"epoch_seconds": 0.01, "images_per_second": 100.0}
    record = EpochRecord(epoch=number, step=number * 10, **losses, **times)
    return Progress(kind="epoch", run_ids=(spec.run_id,), epoch=record)


def begun(*specs: RunSpec) -> Progress:
    return Progress(kind="group", run_ids=tuple(spec.run_id for spec in specs), done=0, total=1000)


def ended(spec: RunSpec, **changes: Any) -> Progress:
    values = {"run_id": spec.run_id, "status": "done", "train_seconds": 12.34, **changes}
    return Progress(kind="finished", run_ids=(spec.run_id,), record=RunRecord(**values))


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_many_short_epochs_do_not_flood(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Watch(as_json=False) as watch:
        watch.expect(plan())
        watch(begun(SPECS[0]))
        for number in range(1, 101):
            now[0] += 1.0
            watch(epoch(SPECS[0], number))
            watch(Progress(kind="evaluation", run_ids=(SPECS[0].run_id,), text="scores", done=0, total=160))
            watch(Progress(kind="evaluation", run_ids=(SPECS[0].run_id,), text="scores", done=160, total=160))
    said = lines(capsys)
    assert 18 <= len(said) <= 22  # the first line, and one in ten seconds for each of the two
    assert "epoch 1, step 10, D 0.500  G 1.500" in said[1]


def test_lines_about_finished_runs_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(as_json=False) as watch:
        watch.expect(plan())
        for spec in SPECS:
            watch(ended(spec))
    _, *said = lines(capsys)
    assert said == [
        "1/3 done  vanilla  lr 2e-4       seed  0  in 12.3 s",
        "2/3 done  vanilla  lr 2e-4       seed  1  in 12.3 s",
        "3/3 done  dcgan28  lr 2e-4:1e-4  seed 10  in 12.3 s",
    ]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_what_went_wrong_is_said(capsys: pytest.CaptureFixture[str], status: str) -> None:
    with Watch(as_json=False) as watch:
        watch.expect(plan(finished=2))
        watch(ended(SPECS[2], status=status, reason="d_loss is nan in epoch 3"))
    said = lines(capsys)
    assert said[0].startswith("3 runs, 2 of them finished earlier: digits, preset quick")
    assert said[1].startswith(f"3/3 {status}")
    assert said[1].endswith("d_loss is nan in epoch 3")


def test_json_lines_are_json_whatever_the_losses(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(as_json=True) as watch:
        watch.notice("[odd] text")
        watch.expect(plan())
        watch(begun(SPECS[0]))
        watch(epoch(SPECS[0], 1, loss=math.nan))
        watch(ended(SPECS[0], status="diverged"))
    told = json_lines(capsys.readouterr().out)
    assert [line["event"] for line in told] == ["notice", "epoch", "finished"]
    assert told[1]["d_loss"] is None


@pytest.mark.parametrize("columns", [80, 120])
def test_bars_fit_their_terminal(columns: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=columns, color_system=None)
    watch = Watch(as_json=False)
    watch.console, watch.bars = console, bars(console)
    watch._matrix = watch.bars.add_task("starting", total=None, note="", unit="runs")
    watch.expect(plan())
    watch(begun(*SPECS[:2]))
    watch(epoch(SPECS[0], 40))
    watch(Progress(kind="evaluation", run_ids=(SPECS[2].run_id,), text="scores", done=5_000, total=10_000))
    screen.truncate(0)
    screen.seek(0)
    console.print(watch.bars.get_renderable())
    shown = screen.getvalue().splitlines()
    assert len(shown) == 3, shown  # none is wrapped
    assert "all runs" in shown[0]
    assert "vanilla  2 lanes" in shown[1]
    assert "D 0.500  G 1.500" in shown[1]
    assert "400/1,000" in shown[1]
    assert "5,000/10,000" in shown[2]


def test_lanes_count_towards_all_runs() -> None:
    watch = Watch(as_json=False)
    watch.expect(plan())
    watch(begun(*SPECS[:2]))
    for spec in SPECS[:2]:
        watch(epoch(spec, 50))
    assert watch.bars.tasks[0].completed == pytest.approx(1.0, abs=0.01)
    watch(ended(SPECS[0], status="diverged"))
    watch(Progress(kind="step", run_ids=tuple(spec.run_id for spec in SPECS[:2]), done=700, total=1000))
    assert watch.bars.tasks[0].completed == pytest.approx(1.7, abs=0.01)


def test_a_run_that_is_tried_again_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(as_json=False) as watch:
        watch.expect(plan())
        for status in ("failed", "failed", "done"):
            watch(begun(SPECS[0]))
            assert watch.bars.tasks[0].completed == 0
            watch(ended(SPECS[0], status=status))
            assert watch.bars.tasks[0].completed == 1
        watch(ended(SPECS[1]))
    assert [line.split()[:2] for line in lines(capsys)[1:]] == [
        ["1/3", "failed"], ["1/3", "failed"], ["1/3", "done"], ["2/3", "done"]
    ]  # fmt: skip


def test_what_comes_from_elsewhere_is_one_line_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(as_json=False) as watch:
        watch.notice("odd \x1b]0;x\x07text")
        watch.expect(plan())
        watch(ended(SPECS[0], status="failed", reason="CUDA error\nand \x1b[2Jso on (a.py:1)"))
    said = lines(capsys)
    assert said[0] == "note: odd  ]0;x text"
    assert said[2].endswith("seed  0  CUDA error and  [2Jso on (a.py:1)")


@pytest.mark.parametrize("as_json", [False, True])
def test_whom_nobody_reads_any_more_goes_on_to_its_checkpoint_once_asked_to_stop(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """Ctrl-C reaches all of `gan-bench run 2>&1 | tee log`, and tee may be the first to leave."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream, Watch(as_json) as watch, interruption.by_signals():  # noqa: PTH123
        watch.expect(plan())
        monkeypatch.setattr(module.sys, "stdout" if as_json else "stderr", stream)
        with pytest.raises(BrokenPipeError):
            watch(epoch(SPECS[0], 1))
        os.kill(os.getpid(), signal.SIGINT)
        watch(epoch(SPECS[1], 1))
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is left in the buffer is flushed by `with`


def profiled(device: str = "cpu") -> Progress:
    share = TimeShare(name="aten::mm[x]", work="matrix products, convolutions", milliseconds=1.0, calls=3.0)
    idle = TimeShare(name="other, idle", work="other, idle", milliseconds=3.0)
    times = {"milliseconds": 3.5, "profiled_milliseconds": 4.0}
    profile = StepProfile(
        device=device, lanes=1, steps=7, work=(idle,), operators=(share,) * (device == "cpu"), **times
    )
    return Progress(kind="profile", run_ids=(SPECS[0].run_id,), profile=profile, text="results/trace.json.gz")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_profile_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(printing, "console", lambda: Console(width=columns))
    with Watch(as_json=False) as watch:
        watch.expect(plan())
        watch(profiled())
    said = capsys.readouterr().out
    assert all(len(line) <= columns for line in said.splitlines())
    rows = [line.split() for line in said.splitlines()]
    assert ["other,", "idle", "3.000", "75.0"] in rows
    assert ["the", "whole", "step", "4.000", "100.0"] in rows
    assert ["aten::mm[x]", "1.000", "25.0", "3.0"] in [row[:4] for row in rows]
    assert ("matrix products" in said) == (columns == 120)
    assert "results/trace.json.gz" in said


def test_a_gpu_that_the_profiler_did_not_see_is_not_called_idle_without_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Watch(as_json=False) as watch:
        watch.expect(plan())
        watch(profiled("cuda:0"))
    assert "The profiler saw nothing that cuda:0 did" in capsys.readouterr().out
