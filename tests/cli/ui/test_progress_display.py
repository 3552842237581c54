"""ProgressDisplay: plain lines without a terminal, bars on one, JSON lines with --json."""

from __future__ import annotations

import io
import math
import os
import signal
import sys
from typing import Any

import pytest
from helpers.cli_words import json_lines
from rich.console import Console

from gan_bench.cli.ui import progress_display as module
from gan_bench.cli.ui import tables
from gan_bench.cli.ui.progress_bars import progress_bars
from gan_bench.cli.ui.progress_display import ProgressDisplay
from gan_bench.core import signals
from gan_bench.core.evaluation_spec import EvaluationProtocol
from gan_bench.core.events import (
    EpochFinished,
    EvaluationProgress,
    GroupStarted,
    Notice,
    RunFinished,
    StepProfiled,
    StepProgress,
)
from gan_bench.core.records import EpochRecord, OperatorTime, RunRecord, Score, StepProfile
from gan_bench.core.training_spec import TrainingSpec

SUMMARY = "3 runs: 3 to train; digits, preset quick, on cpu"


def make_spec(model: str, seed: int, lr_d: float = 2e-4) -> TrainingSpec:
    return TrainingSpec(
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
    )


SPECS = (make_spec("vanilla", 0), make_spec("vanilla", 1), make_spec("dcgan28", 10, lr_d=1e-4))


def epoch(spec: TrainingSpec, number: int, loss: float = 0.5) -> EpochFinished:
    losses = {"d_loss": loss, "g_loss": 1.5, "d_real_accuracy": 0.5, "d_fake_accuracy": 0.5}
    times = {"epoch_seconds": 0.01, "images_per_second": 100.0}
    return EpochFinished(spec.run_id, EpochRecord(epoch=number, step=number * 10, **losses, **times))


def started(*specs: TrainingSpec) -> GroupStarted:
    return GroupStarted(tuple(spec.run_id for spec in specs), step=0, total_steps=1000)


def finished(spec: TrainingSpec, scores: tuple[Score, ...] = (), **changes: Any) -> RunFinished:
    values = {"run_id": spec.run_id, "status": "done", "train_seconds": 12.34, **changes}
    return RunFinished(RunRecord(**values), scores)


def make_score(metric: str, value: float, draw: int = 0, n_fake: int = 160, step: int = 1000) -> Score:
    protocol = EvaluationProtocol(
        dataset="digits",
        dataset_sha256="0" * 64,
        reference_split="test",
        n_real=500,
        n_fake=n_fake,
        extractor="mnist-cnn",
        extractor_sha256="0" * 64,
        resize="none",
        kid_subset_size=100,
        seed=0,
        torch_fidelity_version="0",
    )
    title = metric.upper()
    return Score(
        metric=metric, title=title, better="lower", value=value, protocol=protocol, draw=draw, epoch=1, step=step
    )


def stderr_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_short_epochs_print_at_most_one_line_in_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS)
        display(started(SPECS[0]))
        for number in range(1, 101):
            now[0] += 1.0
            display(epoch(SPECS[0], number))
            for images in (0, 160):
                display(EvaluationProgress(images, 160, SPECS[0].run_id))
    printed = stderr_lines(capsys)
    assert 18 <= len(printed) <= 22  # the summary, and a line in ten seconds for the run and for its evaluation
    assert "epoch 1, step 10, D 0.500  G 1.500" in printed[1]


def test_lines_about_finished_runs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS)
        for spec in SPECS:
            display(finished(spec))
    assert stderr_lines(capsys) == [
        SUMMARY,
        "1/3 done  vanilla  lr 2e-4       seed  0  in 12.3 s",
        "2/3 done  vanilla  lr 2e-4       seed  1  in 12.3 s",
        "3/3 done  dcgan28  lr 2e-4:1e-4  seed 10  in 12.3 s",
    ]


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_the_reason_of_a_failed_or_diverged_run_is_printed(
    capsys: pytest.CaptureFixture[str], status: str
) -> None:
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS, finished=2)
        display(finished(SPECS[2], status=status, reason="d_loss is nan in epoch 3"))
    (line,) = stderr_lines(capsys)[1:]
    assert line.startswith(f"3/3 {status}")
    assert line.endswith("d_loss is nan in epoch 3")


def test_json_lines_are_valid_json_for_a_loss_that_is_nan(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=True) as display:
        display(Notice("[odd] text"))
        display.expect(SUMMARY, SPECS)
        display(started(SPECS[0]))
        display(epoch(SPECS[0], 1, loss=math.nan))
        display(finished(SPECS[0], status="diverged"))
    printed = json_lines(capsys.readouterr().out)
    assert [line["event"] for line in printed] == ["notice", "epoch", "finished"]
    assert printed[1]["d_loss"] is None


def test_a_finished_run_shows_the_mean_over_draws_of_its_first_protocol(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = (
        make_score("fid", 10.0),
        make_score("kid_mean", 1.0),
        make_score("fid", 14.0, draw=1),
        make_score("fid", 99.0, n_fake=320),
        make_score("fid", 88.0, step=500),
    )
    for as_json in (False, True):
        with ProgressDisplay(as_json) as display:
            display.expect(SUMMARY, SPECS)
            display(finished(SPECS[0], scores))
    captured = capsys.readouterr()
    assert "seed  0  FID     12  in 12.3 s" in captured.err
    (line,) = json_lines(captured.out)
    assert line["scores"] == {"fid": 12.0, "kid_mean": 1.0}
    assert not line["earlier"]


@pytest.mark.parametrize("columns", [80, 120])
def test_bars_fit_their_terminal(columns: int) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=columns, color_system=None)
    display = ProgressDisplay(as_json=False)
    display.console, display.bars = console, progress_bars(console)
    display._all_runs = display.bars.add_task("starting", total=None, note="", unit="runs")
    display.expect(SUMMARY, SPECS)
    display(started(*SPECS[:2]))
    display(epoch(SPECS[0], 40))
    display(EvaluationProgress(5_000, 10_000, SPECS[2].run_id))
    screen.truncate(0)
    screen.seek(0)
    console.print(display.bars.get_renderable())
    shown = screen.getvalue().splitlines()
    assert len(shown) == 3, shown  # none is wrapped
    assert "all runs" in shown[0]
    assert "vanilla  2 lanes" in shown[1]
    assert "D 0.500  G 1.500" in shown[1]
    assert "400/1,000" in shown[1]
    assert "5,000/10,000" in shown[2]


def test_lanes_in_training_count_as_fractions_of_all_runs() -> None:
    display = ProgressDisplay(as_json=False)
    display.expect(SUMMARY, SPECS)
    display(started(*SPECS[:2]))
    for spec in SPECS[:2]:
        display(epoch(spec, 50))
    assert display.bars.tasks[0].completed == pytest.approx(1.0, abs=0.01)
    display(finished(SPECS[0], status="diverged"))
    display(StepProgress(tuple(spec.run_id for spec in SPECS[:2]), step=700, total_steps=1000))
    assert display.bars.tasks[0].completed == pytest.approx(1.7, abs=0.01)


def test_a_retried_run_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS)
        for status in ("failed", "failed", "done"):
            display(started(SPECS[0]))
            assert display.bars.tasks[0].completed == 0
            display(finished(SPECS[0], status=status))
            assert display.bars.tasks[0].completed == 1
        display(finished(SPECS[1]))
    assert [line.split()[:2] for line in stderr_lines(capsys)[1:]] == [
        ["1/3", "failed"], ["1/3", "failed"], ["1/3", "done"], ["2/3", "done"]
    ]  # fmt: skip


def test_reference_images_are_named_in_the_line_about_their_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=False) as display:
        display(EvaluationProgress(0, 10_000))
        display(EvaluationProgress(10_000, 10_000))
    assert stderr_lines(capsys) == ["scoring real images and noise: 10,000 images"]
    assert len(display.bars.tasks) == 1  # the evaluation's bar is removed


def test_control_characters_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=False) as display:
        display(Notice("odd \x1b]0;x\x07text"))
        display.expect(SUMMARY, SPECS)
        display(finished(SPECS[0], status="failed", reason="CUDA error\nand \x1b[2Jmore (a.py:1)"))
    printed = stderr_lines(capsys)
    assert printed[0] == r"note: odd \x1b]0;x\x07text"
    assert printed[2].endswith(r"seed  0  CUDA error and \x1b[2Jmore (a.py:1)")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_closed_output_is_an_error_until_a_stop_is_requested(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """Ctrl-C reaches all of `gan-bench run 2>&1 | tee log`, and tee may exit first."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream, ProgressDisplay(as_json) as display, signals.handle_signals():  # noqa: PTH123
        display.expect(SUMMARY, SPECS)
        monkeypatch.setattr(sys, "stdout" if as_json else "stderr", stream)
        with pytest.raises(BrokenPipeError):
            display(epoch(SPECS[0], 1))
        os.kill(os.getpid(), signal.SIGINT)
        display(epoch(SPECS[1], 1))
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # the rest of the buffer is flushed by `with`


def profiled(device: str = "cpu") -> StepProfiled:
    operator = OperatorTime(name="aten::mm[x]", milliseconds=1.0, calls=3.0)
    profile = StepProfile(
        device=device,
        lanes=1,
        steps=7,
        milliseconds=3.5,
        profiled_milliseconds=4.0,
        operators=(operator,) * (device == "cpu"),
    )
    return StepProfiled((SPECS[0].run_id,), profile, "results/trace.json.gz")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_profile_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(tables, "console", lambda: Console(width=columns))
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS)
        display(profiled())
    printed = capsys.readouterr().out
    assert all(len(line) <= columns for line in printed.splitlines())
    assert "seed  0: a step takes 3.50 ms on cpu (4.00 ms profiled)" in printed
    assert ["aten::mm[x]", "1", "3"] in [line.split() for line in printed.splitlines()]
    assert "results/trace.json.gz" in printed


def test_a_profile_without_operators_names_the_missing_cupti(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=False) as display:
        display.expect(SUMMARY, SPECS)
        display(profiled("cuda:0"))
    assert "The profiler recorded no work on cuda:0: CUPTI is missing" in capsys.readouterr().out


def test_a_profile_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(as_json=True) as display:
        display(profiled())
    (line,) = json_lines(capsys.readouterr().out)
    assert (line["event"], line["run_ids"]) == ("profile", [SPECS[0].run_id])
    assert (line["milliseconds"], line["trace"]) == (3.5, "results/trace.json.gz")
    assert line["operators"] == [{"name": "aten::mm[x]", "milliseconds": 1.0, "calls": 3.0}]
