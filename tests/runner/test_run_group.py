"""One group from data to records: outcomes, interruptions, lanes, times and memory."""

from __future__ import annotations

import gc
import itertools
import json
import math
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.whole_runs import Trial, assert_equal_runs, epoch_rows, interrupt_after, of_type, score_values
from torch import Tensor, nn

from gan_bench.core.events import (
    EpochFinished,
    EvaluationProgress,
    Event,
    GroupStarted,
    RunFinished,
    ignore_events,
)
from gan_bench.data.base import datasets
from gan_bench.devices.energy import EnergyCounter, EnergyMeter
from gan_bench.losses.base import losses
from gan_bench.losses.bce import BCE
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.models.base import models
from gan_bench.models.vanilla import Vanilla
from gan_bench.runner import context, group_training, preflight
from gan_bench.runner.run_group import run_group
from gan_bench.store import verify
from gan_bench.store.store import Store
from gan_bench.training.sampling import Sampler
from gan_bench.training.trainer import Trainer

Make = Callable[..., Trial]


class DivergingLoss(BCE):
    """NaN for the second of two lanes from the second epoch on; `calls` counts the calls of D's loss."""

    calls = 0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        DivergingLoss.calls += 1
        loss = super().discriminator(real_logits, fake_logits)
        if DivergingLoss.calls > 2 + 4 and loss.shape == (2,):  # two steps of warm-up, four of the first epoch
            loss = loss * loss.new_tensor([1.0, math.nan])
        return loss


class BrokenModel(Vanilla):
    """A model whose generator raises when it is called."""

    def generator(self) -> nn.Module:
        return nn.Sequential(super().generator(), nn.Linear(3, 3))


class Copier(nn.Module):
    """Stores the training images of `synthetic`, and returns those that the noise selects."""

    def __init__(self, count: int) -> None:
        super().__init__()
        images = datasets.get("synthetic").load(Path(), offline=True, on_event=ignore_events).train[:count]
        self.register_buffer("images", images / 127.5 - 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, noise: Tensor) -> Tensor:
        chosen = (noise[:, 0].abs() * 9973).long() % len(self.images)
        return self.images[chosen] + 1e-4 * torch.tanh(self.bias)


class CopyingModel(Vanilla):
    """A model whose generator copies training images."""

    def generator(self) -> nn.Module:
        return Copier(500)


class BadWhenEvaluated(nn.Module):
    """Adds `value` to the images in evaluation mode after `after` steps, except to the first `fine` of a batch."""

    value, after, fine = math.nan, 0, 0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
            return images
        bad = (torch.arange(len(images)) >= self.fine) & (self.calls > self.after)
        return torch.where(bad.view(-1, 1, 1, 1), images + self.value, images)


class BadWhenEvaluatedModel(Vanilla):
    """A model that trains well, and whose samples are not finite."""

    def generator(self) -> nn.Module:
        return nn.Sequential(super().generator(), BadWhenEvaluated())


@pytest.fixture(autouse=True)
def _registered(borrowed_registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "check_plugins", lambda *given: None)  # they fail in training
    losses.register("test-diverging")(DivergingLoss)
    models.register("test-broken")(BrokenModel)
    models.register("test-copier")(CopyingModel)
    models.register("test-bad-samples")(BadWhenEvaluatedModel)


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every epoch, however short."""
    monkeypatch.setattr(group_training, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize(
    ("matrix", "steps_per_epoch"),
    [
        ({}, 4),
        ({"models": ("dcgan28-tf",)}, 4),
        ({"losses": ("wgan-gp",), "batch_size": 32}, 3),  # 5 updates of D a step
        ({"penalties": ("r1",)}, 4),
    ],
    ids=lambda value: "-".join(str(each) for each in value.values()) if isinstance(value, dict) else "",
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    trial: Make, matrix: dict[str, Any], steps_per_epoch: int
) -> None:
    matrix = {**matrix, "eval_every": 1, "metrics": ("fid",)}
    uninterrupted = trial("uninterrupted", **matrix)
    (expected,) = uninterrupted.run()
    interrupted = trial("interrupted", **matrix)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(2))
    (folder,) = interrupted.folders()
    assert not (folder / "record.json").exists()
    events: list[Event] = []
    (record,) = interrupted.run(events.append)
    epochs = [event.epoch.epoch for event in of_type(events, EpochFinished)]
    assert epochs == [3, 4], "it started over, or trained an epoch twice"
    assert [event.step for event in of_type(events, GroupStarted)] == [2 * steps_per_epoch]
    assert (record.status, record.attempts, record.steps) == ("done", 2, 4 * steps_per_epoch)
    assert_equal_runs(folder, uninterrupted.folders()[0])
    assert record.best_epoch == expected.best_epoch
    (run,) = interrupted.stored()
    assert record.train_seconds == pytest.approx(sum(epoch.epoch_seconds for epoch in run.epochs))


def test_epochs_after_the_last_checkpoint_are_trained_again(trial: Make) -> None:
    uninterrupted = trial("uninterrupted")
    uninterrupted.run()
    interrupted = trial("interrupted")  # its epochs are far too short for a checkpoint
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(3))
    assert len(epoch_rows(interrupted.folders()[0])) == 3
    interrupted.run()
    assert_equal_runs(interrupted.folders()[0], uninterrupted.folders()[0])


@pytest.mark.usefixtures("save_always")
def test_lanes_interrupted_at_different_steps_resume_apart(trial: Make) -> None:
    uninterrupted = trial("uninterrupted", seeds=(0, 1), lanes=2)
    uninterrupted.run()
    interrupted = trial("interrupted", seeds=(0, 1), lanes=2)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(interrupt_after(2))
    first, second = interrupted.folders()
    _make_older(second)
    events = interrupted.events()
    assert [(event.run_ids, event.step) for event in of_type(events, GroupStarted)] == [
        ((first.name,), 8),
        ((second.name,), 0),
    ]
    assert [event.record.status for event in of_type(events, RunFinished)] == ["done", "done"]
    for mine, theirs in zip(interrupted.folders(), uninterrupted.folders(), strict=True):
        rows, expected = epoch_rows(mine), epoch_rows(theirs)
        for row, other in zip(rows, expected, strict=True):
            for key in row:  # a lane's sums are in another order than a single run's: equal but for rounding
                assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-3, abs=1e-4)


def _make_older(folder: Any) -> None:
    """Remove a run's checkpoint, as if it had been lost."""
    for path in folder.glob("checkpoint*"):
        path.unlink()


def test_every_lane_of_a_group_is_a_run_of_its_own(trial: Make) -> None:
    lanes = trial(seeds=(0, 1), lanes=2)
    assert len(lanes.plan().groups) == 1
    records = lanes.run()
    assert [record.lanes for record in records] == [2, 2]
    zero, one = lanes.folders()
    assert epoch_rows(zero) != epoch_rows(one)
    for folder in (zero, one):
        assert json.loads((folder / "record.json").read_text())["lanes"] == 2
        assert (folder / "samples" / "epoch_0004.png").is_file()


def test_a_diverging_lane_leaves_its_neighbour_bit_identical(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = trial("clean", seeds=(0, 1), losses=("test-diverging",), lanes=2)
    monkeypatch.setattr(DivergingLoss, "calls", -(10**9))
    clean.run()
    diverging = trial("diverging", seeds=(0, 1), losses=("test-diverging",), lanes=2)
    monkeypatch.setattr(DivergingLoss, "calls", 0)
    zero, one = diverging.run()
    assert (zero.status, one.status) == ("done", "diverged")
    assert one.reason == "d_loss is nan and g_loss is nan at step 5"
    assert_equal_runs(diverging.folders()[0], clean.folders()[0])
    assert len(epoch_rows(diverging.folders()[1])) == 1, "the second epoch was not completed"
    assert score_values(diverging.folders()[1]) == []
    assert not (diverging.folders()[1] / "samples" / "epoch_0002.png").exists(), "nothing can be drawn from NaN"
    plan = diverging.plan()
    assert (len(plan.finished), plan.groups, plan.to_evaluate) == (2, (), ()), "a diverged run is a result"


def test_an_absurd_run_ends_within_its_epoch(trial: Make) -> None:
    """An epoch of 256 steps; the losses are finite, and out of range from the first steps on."""
    (record,) = trial(lrs=((9.9, 9.9),), batch_size=8, epochs=1).run()
    assert (record.status, record.steps, record.epochs, record.verdict) == ("diverged", 50, 0, "")
    assert re.fullmatch(r"(d_loss|g_loss) is .*e\+.* at step \d", record.reason)
    assert record.train_seconds > 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("eval_every", [None, 1])
def test_images_that_are_not_finite_in_evaluation_mode_are_a_divergence(
    trial: Make, monkeypatch: pytest.MonkeyPatch, value: float, eval_every: int | None
) -> None:
    monkeypatch.setattr(BadWhenEvaluated, "value", value)
    monkeypatch.setattr(BadWhenEvaluated, "after", 6)  # from the second epoch on
    bad = trial(models=("test-bad-samples", "vanilla"), eval_every=eval_every, metrics=("fid",))
    record, neighbour = bad.run()
    assert (record.status, record.verdict, record.epochs) == ("diverged", "", 2)
    assert record.reason == "NaN or infinity in 64 of 64 images sampled in evaluation mode after step 8"
    assert neighbour.succeeded
    plan = bad.plan()
    assert (len(plan.finished), plan.groups, plan.to_evaluate) == (2, (), ())


def test_an_evaluation_that_finds_images_that_are_not_finite_is_a_divergence(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 64 images of a grid are finite, the others of an evaluation are not."""
    monkeypatch.setattr(BadWhenEvaluated, "fine", 64)
    bad = trial(models=("test-bad-samples", "vanilla"), metrics=("fid",))
    record, neighbour = bad.run()
    assert (record.status, record.verdict, record.evaluation_failure) == ("diverged", "", "")
    assert record.reason == "NaN or infinity in 96 of 160 images sampled in evaluation mode"
    assert neighbour.succeeded
    plan = bad.plan()
    assert (len(plan.finished), plan.groups, plan.to_evaluate) == (2, (), ())
    assert verify.inspect(bad.out) == []


def test_scored_runs_stay_done_when_another_evaluation_is_not_finite(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BadWhenEvaluated, "fine", 160)
    (record,) = trial(models=("test-bad-samples",), metrics=("fid",)).run()
    assert record.succeeded
    monkeypatch.setattr(BadWhenEvaluated, "fine", 64)
    (record,) = trial(models=("test-bad-samples",), metrics=("fid",), eval_samples=170).run()
    assert record.status == "done"
    assert record.evaluation_failure.startswith("NonFiniteImagesError: NaN or infinity in 106 of 170 images")


@pytest.mark.usefixtures("save_always")
def test_energy_is_that_of_all_stretches_of_training(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that advances by a joule each time it is read: an epoch is one stretch."""
    meters: list[EnergyMeter] = []

    def meter(device: object) -> EnergyMeter:
        joules = itertools.count(1000.0)
        meters.append(EnergyMeter([EnergyCounter(lambda: next(joules))], "rapl"))
        return meters[-1]

    monkeypatch.setattr(EnergyMeter, "of", meter)
    (record,) = trial("one", metrics=("fid",)).run()
    assert (record.energy_joules, record.energy_source) == (4.0, "rapl")
    resumed = trial("resumed", metrics=("fid",))
    with pytest.raises(KeyboardInterrupt):
        resumed.run(interrupt_after(2))
    (record,) = resumed.run()
    assert (record.attempts, record.energy_joules) == (2, 4.0)
    assert len(meters) == 3


def test_energy_that_was_not_measured_throughout_is_unknown(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    joules = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(
        EnergyMeter, "of", lambda device: EnergyMeter([EnergyCounter(lambda: next(joules))], "nvml")
    )
    (record,) = trial(metrics=("fid",)).run()
    assert (record.status, record.energy_joules, record.energy_source) == ("done", None, "")


def test_a_generator_that_stores_training_images_is_memorised(trial: Make) -> None:
    record, honest = trial(models=("test-copier", "vanilla"), epochs=1).run()
    assert (record.status, record.verdict) == ("done", "memorised")
    assert record.verdict_reason.startswith("100.0% of the images are as near to a training image")
    assert (honest.status, honest.verdict != "memorised") == ("done", True)


def test_without_the_metrics_that_tell_no_run_is_ok(trial: Make) -> None:
    (record,) = trial(models=("test-copier",), epochs=1, metrics=("fid",)).run()
    assert record.verdict == "inconclusive"
    assert "prc, modes, copies would be needed" in record.verdict_reason


def test_a_model_that_raises_fails_alone_and_is_retried(trial: Make) -> None:
    mixed = trial(models=("test-broken", "vanilla"), epochs=1)
    broken, fine = mixed.run()
    assert (broken.status, fine.status) == ("failed", "done")
    assert broken.reason.startswith("RuntimeError: ")
    assert broken.started_at, "the record is not the run's own"
    assert [spec.model for spec in mixed.plan().to_train] == ["test-broken"]
    assert mixed.run()[0].attempts == 2


def test_the_best_checkpoint_has_the_lowest_fid(trial: Make) -> None:
    every = trial(eval_every=1, epochs=5)
    (record,) = every.run()
    (run,) = every.stored()
    by_epoch = {s.epoch: s.value for s in run.scores if s.metric == "fid" and s.checkpoint == "last"}
    assert list(by_epoch) == [1, 2, 3, 4, 5]
    best = min(by_epoch, key=lambda epoch: by_epoch[epoch])
    (kept,) = [s for s in run.scores if s.metric == "fid" and s.checkpoint == "best"]
    assert (kept.epoch, kept.value, record.best_epoch) == (best, by_epoch[best], best)
    assert json.loads((run.folder / "best.json").read_text())["state"]["epoch"] == best


def test_without_eval_every_only_the_final_weights_are_evaluated(trial: Make) -> None:
    final = trial(epochs=3, metrics=("fid",))
    (record,) = final.run()
    (run,) = final.stored()
    assert [(score.epoch, score.checkpoint) for score in run.scores] == [(3, "last")]
    assert record.best_epoch is None
    assert not list(run.folder.glob("best.*"))


def test_events_come_in_order(trial: Make) -> None:
    events = trial(epochs=2).events()
    kinds = [type(event) for event in events if isinstance(event, GroupStarted | EpochFinished | RunFinished)]
    assert kinds == [GroupStarted, EpochFinished, EpochFinished, RunFinished]
    progress = [event for event in of_type(events, EvaluationProgress) if event.run_id]
    assert progress[-1].images == progress[-1].total_images == 160
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert {score.metric for score in last.scores} >= {"fid", "kid_mean", "precision", "modes_covered"}


def test_evaluations_are_outside_the_training_clock(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--eval-every` pauses the training: sampling and scoring, however long, are evaluation time alone."""
    pause, now = 1000.0, 0.0

    def tick() -> float:
        nonlocal now
        now += 1e-3
        return now

    def slowed(original: Callable[..., Any]) -> Callable[..., Any]:
        def wait_and_call(*args: Any, **options: Any) -> Any:
            nonlocal now
            now += pause
            return original(*args, **options)

        return wait_and_call

    for module in ("training.clock", "runner.group_training", "runner.evaluate"):
        monkeypatch.setattr(f"gan_bench.{module}.time", SimpleNamespace(perf_counter=tick, monotonic=tick))
    monkeypatch.setattr(Sampler, "sample", slowed(Sampler.sample))
    monkeypatch.setattr(Evaluator, "score", slowed(Evaluator.score))
    often = trial(eval_every=1, epochs=2)
    (record,) = often.run()
    (run,) = often.stored()
    assert record.eval_seconds >= 2 * 2 * pause
    assert 0 < max(epoch.epoch_seconds for epoch in run.epochs) < pause
    assert record.train_seconds == pytest.approx(sum(epoch.epoch_seconds for epoch in run.epochs))


def test_a_shorter_last_epoch_is_left_out_of_the_median_time(trial: Make) -> None:
    partial = trial(epochs=None, steps=9)
    partial.run()
    (run,) = partial.stored()
    assert [epoch.step for epoch in run.epochs] == [4, 8, 9]
    first, second = (epoch.epoch_seconds for epoch in run.epochs[:2])
    assert run.epoch_seconds_median == pytest.approx((first + second) / 2)


def test_peak_memory_is_that_of_training(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that sampling and scoring take on the device is not part of a model's training cost."""
    peaks = {"now": 7}

    def grown(original: Callable[..., Any]) -> Callable[..., Any]:
        def grow_and_call(*args: Any, **options: Any) -> Any:
            peaks["now"] = 1000
            return original(*args, **options)

        return grow_and_call

    monkeypatch.setattr("gan_bench.devices.memory.peak_memory", lambda device: (peaks["now"], peaks["now"] + 1))
    monkeypatch.setattr(Sampler, "sample", grown(Sampler.sample))
    (record,) = trial(epochs=2).run()
    assert (record.peak_memory_bytes, record.host_peak_memory_bytes) == (7, 1001)


def test_a_finished_group_releases_its_trainer(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker keeps its evaluator for the next group, but not the weights and graphs of the first one."""
    trainers: list[weakref.ref[Trainer]] = []

    class TrackedTrainer(Trainer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            trainers.append(weakref.ref(self))

    monkeypatch.setattr(group_training, "Trainer", TrackedTrainer)
    small = trial(epochs=1)
    planned = small.plan()
    context._evaluators.clear()  # a worker has not planned: its first group makes the evaluator
    Store.open(small.out, create=True)
    run_group(planned.groups[0], ignore_events, context=planned.context)
    assert len(trainers) == 1
    assert context._evaluators
    gc.collect()
    assert trainers[0]() is None
