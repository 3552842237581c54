"""One group from data to records: outcomes, interruptions, lanes."""

from __future__ import annotations

import gc
import json
import math
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor, nn
from whole_runs import Trial, assert_equal_runs, interrupt_after, learned

from gan_bench import pipeline, place
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.models.model import models
from gan_bench.models.vanilla import Vanilla
from gan_bench.record import Progress
from gan_bench.store.store import Store
from gan_bench.training.trainer import Trainer

Make = Callable[..., Trial]


class Spoilt(BCE):
    """NaN for the second of two lanes from the second epoch on; `calls` counts what D was asked."""

    calls = 0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        Spoilt.calls += 1
        loss = super().discriminator(real_logits, fake_logits)
        if Spoilt.calls > 2 + 4 and loss.shape == (2,):  # two steps of warm-up, four of the first epoch
            loss = loss * loss.new_tensor([1.0, math.nan])
        return loss


class Broken(Vanilla):
    """A model whose generator raises when it is used."""

    def generator(self) -> nn.Module:
        return nn.Sequential(super().generator(), nn.Linear(3, 3))


@pytest.fixture(autouse=True)
def _registered(borrowed_registries: None) -> None:
    losses.register("test-spoilt")(Spoilt)
    models.register("test-broken")(Broken)


@pytest.fixture
def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every epoch, however short."""
    monkeypatch.setattr(pipeline, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("model", ["vanilla", "dcgan28-tf"])
def test_an_interrupted_run_continues_and_equals_an_undisturbed_one(trial: Make, model: str) -> None:
    quiet = trial("quiet", models=(model,), eval_every=1)
    (undisturbed,) = quiet.run()
    cut = trial("cut", models=(model,), eval_every=1)
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(2))
    (folder,) = cut.folders()
    assert not (folder / "record.json").exists()
    heard: list[int] = []
    (record,) = cut.run(lambda news: heard.append(news.epoch.epoch) if news.epoch else None)
    assert heard == [3, 4], "it started over, or trained what it had"
    assert (record.status, record.attempts, record.steps) == ("done", 2, 16)
    assert_equal_runs(folder, quiet.folders()[0])
    assert record.best_epoch == undisturbed.best_epoch
    (run,) = cut.stored()
    assert record.train_seconds == pytest.approx(sum(epoch.epoch_seconds for epoch in run.epochs))


def test_what_came_after_the_last_checkpoint_is_trained_again(trial: Make) -> None:
    quiet = trial("quiet")
    quiet.run()
    cut = trial("cut")  # its epochs are far too short for a checkpoint
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(3))
    assert len(learned(cut.folders()[0])) == 3
    cut.run()
    assert_equal_runs(cut.folders()[0], quiet.folders()[0])


@pytest.mark.usefixtures("save_always")
def test_lanes_cut_off_at_different_steps_continue_apart(trial: Make) -> None:
    quiet = trial("quiet", seeds=(0, 1), lanes=2)
    quiet.run()
    cut = trial("cut", seeds=(0, 1), lanes=2)
    with pytest.raises(KeyboardInterrupt):
        cut.run(interrupt_after(2))  # the first lane's second epoch is told before the second lane's is kept
    first, second = (json.loads((folder / "checkpoint.json").read_text()) for folder in cut.folders())
    assert first != second
    records = cut.run()
    assert [record.status for record in records] == ["done", "done"]
    for mine, theirs in zip(cut.folders(), quiet.folders(), strict=True):
        ours, expected = learned(mine), learned(theirs)
        for row, other in zip(ours, expected, strict=True):
            for key in row:  # alone and as a lane the sums are ordered differently: equal but for rounding
                assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-3, abs=1e-4)


def test_a_group_of_lanes_is_one_run_each(trial: Make) -> None:
    lanes = trial(seeds=(0, 1), lanes=2)
    assert len(lanes.plan().groups) == 1
    records = lanes.run()
    assert [record.lanes for record in records] == [2, 2]
    zero, one = lanes.folders()
    assert learned(zero) != learned(one)
    for folder in (zero, one):
        assert json.loads((folder / "record.json").read_text())["lanes"] == 2
        assert (folder / "samples" / "epoch_0004.png").is_file()


def test_a_lane_that_diverges_leaves_its_neighbour_as_it_was(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = trial("clean", seeds=(0, 1), losses=("test-spoilt",), lanes=2)
    monkeypatch.setattr(Spoilt, "calls", -(10**9))
    clean.run()
    spoilt = trial("spoilt", seeds=(0, 1), losses=("test-spoilt",), lanes=2)
    monkeypatch.setattr(Spoilt, "calls", 0)
    zero, one = spoilt.run()
    assert (zero.status, one.status) == ("done", "diverged")
    assert one.reason == "d_loss is nan and g_loss is nan in epoch 2"
    assert_equal_runs(spoilt.folders()[0], clean.folders()[0])
    assert len(learned(spoilt.folders()[1])) == 2
    assert not (spoilt.folders()[1] / "scores.json").exists()
    assert not (spoilt.folders()[1] / "samples" / "epoch_0002.png").exists(), "there is nothing to draw"
    assert spoilt.plan().groups == (), "a diverged run is a result, and not tried again"


def test_a_model_that_raises_fails_alone_and_is_tried_again(trial: Make) -> None:
    mixed = trial(models=("test-broken", "vanilla"), epochs=1)
    broken, fine = mixed.run()
    assert (broken.status, fine.status) == ("failed", "done")
    assert broken.reason.startswith("RuntimeError: ")
    assert broken.started_at, "the record is not the run's own"
    left = [spec.model for group in mixed.plan().groups for spec in group.specs]
    assert left == ["test-broken"]
    assert mixed.run()[0].attempts == 2


def test_the_best_checkpoint_is_the_one_with_the_lowest_fid(trial: Make) -> None:
    every = trial(eval_every=1, epochs=5)
    (record,) = every.run()
    (run,) = every.stored()
    by_epoch = {s.epoch: s.value for s in run.scores if s.metric == "fid" and s.checkpoint == "last"}
    assert list(by_epoch) == [1, 2, 3, 4, 5]
    best = min(by_epoch, key=lambda epoch: by_epoch[epoch])
    (kept,) = [s for s in run.scores if s.metric == "fid" and s.checkpoint == "best"]
    assert (kept.epoch, kept.value, record.best_epoch) == (best, by_epoch[best], best)
    assert json.loads((run.folder / "best.json").read_text())["state"]["epoch"] == best


def test_news_come_in_order_and_tell_the_whole_way(trial: Make) -> None:
    news: list[Progress] = []
    trial(epochs=2).run(news.append)
    kinds = [each.kind for each in news if each.kind in ("group", "epoch", "finished")]
    assert kinds == ["group", "epoch", "epoch", "finished"]
    watched = [each for each in news if each.kind == "evaluation" and each.text == "scores"]
    assert watched[-1].done == watched[-1].total == 160
    assert news[-1].record is not None
    assert {score.metric for score in news[-1].scores} >= {"fid", "kid_mean", "precision", "modes_covered"}


def test_evaluations_are_outside_the_training_clock(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--eval-every` pauses the training: sampling and scoring, however long, are evaluation time alone."""
    pause, now = 1000.0, 0.0

    def tick() -> float:
        nonlocal now
        now += 1e-3
        return now

    def slowed(original: Callable[..., Any]) -> Callable[..., Any]:
        def wait_then_go(*args: Any, **options: Any) -> Any:
            nonlocal now
            now += pause
            return original(*args, **options)

        return wait_then_go

    for room in ("training.clock", "pipeline"):
        monkeypatch.setattr(f"gan_bench.{room}.time", SimpleNamespace(perf_counter=tick, monotonic=tick))
    monkeypatch.setattr(Trainer, "sample", slowed(Trainer.sample))
    monkeypatch.setattr(Evaluator, "score", slowed(Evaluator.score))
    often = trial(eval_every=1, epochs=2)
    (record,) = often.run()
    (run,) = often.stored()
    assert record.eval_seconds >= 2 * 2 * pause
    assert 0 < max(epoch.epoch_seconds for epoch in run.epochs) < pause
    assert record.train_seconds == pytest.approx(sum(epoch.epoch_seconds for epoch in run.epochs))


def test_the_time_of_an_epoch_is_that_of_whole_ones(trial: Make) -> None:
    cut = trial(epochs=None, steps=9)
    cut.run()
    (run,) = cut.stored()
    assert [epoch.step for epoch in run.epochs] == [4, 8, 9]
    first, second = (epoch.epoch_seconds for epoch in run.epochs[:2])
    assert run.epoch_seconds_median == pytest.approx((first + second) / 2)


def test_the_peak_of_memory_is_that_of_training(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sampling and scoring take on the device is no cost of the model's training."""
    peaks = {"now": 7}

    def greedy(original: Callable[..., Any]) -> Callable[..., Any]:
        def take_more(*args: Any, **options: Any) -> Any:
            peaks["now"] = 1000
            return original(*args, **options)

        return take_more

    monkeypatch.setattr("gan_bench.environment.peak_memory", lambda device: (peaks["now"], peaks["now"] + 1))
    monkeypatch.setattr(Trainer, "sample", greedy(Trainer.sample))
    (record,) = trial(epochs=2).run()
    assert (record.peak_memory_bytes, record.host_peak_memory_bytes) == (7, 1001)


def test_a_group_that_is_over_is_let_go_of(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker keeps its evaluator for the next group: not the first one's weights with it, nor its graph."""
    trainers: list[weakref.ref[Trainer]] = []

    class Watched(Trainer):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            trainers.append(weakref.ref(self))

    monkeypatch.setattr(pipeline, "Trainer", Watched)
    small = trial(epochs=1)
    planned = small.plan()
    place._evaluators.clear()  # a worker has not planned: its first group makes the evaluator
    store = Store.open(small.out, create=True)
    pipeline.run_group(planned.groups[0], lambda news: None, open_sink=lambda: store, place=planned.place)
    assert len(trainers) == 1
    assert place._evaluators
    gc.collect()
    assert trainers[0]() is None
