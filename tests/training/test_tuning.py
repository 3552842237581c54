"""What is tried before training: it leaves no trace, and a program that is wrong or slow is not used."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from training_cases import CPU, random_images, small_spec

from gan_bench.training import tuning
from gan_bench.training.trainer import Trainer


def trained(specs, images) -> Trainer:
    trainer = Trainer(specs, images, CPU)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def test_warm_up_leaves_no_trace(model_name):
    spec = small_spec(model_name)
    images = random_images(spec.image_size)
    trainer = Trainer([spec], images, CPU)
    before = trainer.state(0)
    assert tuning.warm_up(trainer) > 0
    after = trainer.state(0)
    assert before.state == after.state
    for name, array in before.arrays.items():
        assert np.array_equal(array, after.arrays[name]), name


@pytest.mark.parametrize("steps_before", [0, 3, 8])
def test_trial_steps_leave_no_trace(steps_before):
    """Timed at the start, in the middle of an epoch and at its end, a run ends as the one that was left alone."""
    specs, images = [small_spec("dcgan28", seed=seed) for seed in (0, 1)], random_images(28)
    alone, tried = trained(specs, images), Trainer(specs, images, CPU)
    if steps_before:
        tried.train_steps(pause=lambda: tried.step >= steps_before)
    assert tuning.seconds_per_step(tried, 11) > 0
    timings = tuning.time_ways(tried)
    assert {timing.layer for timing in timings["d"]} == {"0", "3"}
    assert all(timing.shape[0] == 2 for timing in timings["d"]), "of both lanes"
    while not tried.finished:
        tried.train_epoch()
    for lane in range(2):
        for name, array in alone.state(lane).arrays.items():
            assert np.array_equal(array, tried.state(lane).arrays[name]), name


class FakeGraph:
    """Stands in for a CUDA graph: replays the step, or a step that has gone wrong."""

    faulty = False

    def __init__(self, advance, generators, device) -> None:
        self.advance = advance
        self.generators = generators

    def __call__(self) -> None:
        if not self.faulty:
            self.advance()


class FaultyGraph(FakeGraph):
    faulty = True


class NoGraph:
    def __init__(self, *args) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.mark.parametrize(
    ("graph", "word"),
    [(FakeGraph, None), (FaultyGraph, "gave other losses"), (NoGraph, "not permitted when stream")],
)
def test_a_graph_is_taken_only_if_it_gives_the_losses_of_eager_steps(monkeypatch, graph, word):
    monkeypatch.setattr("gan_bench.training.tuning.Graph", graph)
    spec, images = small_spec("vanilla"), random_images(28)
    alone, trainer, told = trained([spec], images), Trainer([spec], images, CPU), []
    tuning.capture(trainer, told.append)
    assert (trainer.graph is not None) is (word is None)
    assert (told == []) if word is None else (len(told) == 1 and word in told[0])
    while not trainer.finished:
        trainer.train_epoch()
    for name, array in alone.state(0).arrays.items():
        assert np.array_equal(array, trainer.state(0).arrays[name]), name


@pytest.mark.slow
def test_compiled_steps_give_the_losses_of_eager_ones():
    spec, images = small_spec("dcgan28"), random_images(28)
    eager, compiled = Trainer([spec], images, CPU), Trainer([spec], images, CPU)
    compiled.compile(True)
    one, other = eager.train_epoch()[0], compiled.train_epoch()[0]
    assert (one.d_loss, one.g_loss) == pytest.approx((other.d_loss, other.g_loss), rel=1e-3)


def same(function, dynamic):
    return lambda *args: function(*args)


def wrong(function, dynamic):
    return lambda *args: 3 * function(*args) + 1


@pytest.mark.parametrize(
    ("compiler", "seconds", "kept", "told"),
    [
        (same, (2.0, 1.0), True, []),
        (same, (1.0, 2.0), False, []),
        (wrong, (2.0, 1.0), False, ["layers are not fused: torch.compile's gave other losses"]),
        (
            lambda function, dynamic: broken,
            (2.0, 1.0),
            False,
            ["layers are not fused: torch.compile failed (no compiler here)"],
        ),
    ],
    ids=["faster", "slower", "wrong", "failing"],
)
def test_fused_layers_are_taken_only_if_they_are_right_and_faster(monkeypatch, compiler, seconds, kept, told):
    trainer, heard, times = Trainer([small_spec("vanilla")], random_images(28), CPU), [], iter(seconds)
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(tuning, "seconds_per_step", lambda *args: next(times))
    tuning.compile_if_faster(trainer, heard.append)
    assert heard == told
    assert (trainer._step.d._one != trainer._step.d._forward) is kept
    assert len(trainer.train_epoch()) == 1


@pytest.mark.parametrize("compiler", [same, wrong])
def test_layers_that_are_not_fused_are_captured_anew(monkeypatch, compiler):
    """The capture of the fused step may have failed, and parted the earlier graph from its generators."""
    trainer, times = Trainer([small_spec("vanilla")], random_images(28), CPU), iter((1.0, 2.0))
    monkeypatch.setattr("gan_bench.training.tuning.Graph", FakeGraph)
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(tuning, "seconds_per_step", lambda *args: next(times))
    tuning.capture(trainer, print)
    before = trainer.graph
    tuning.compile_if_faster(trainer, lambda text: None)
    assert isinstance(trainer.graph, FakeGraph)
    assert trainer.graph is not before


def broken(*args):
    raise OSError("no compiler here")


def test_samples_of_compiled_nets_are_drawn_without_the_compiler(monkeypatch):
    """A batch of another size would have it begin anew, for a minute."""
    trainer = Trainer([small_spec("dcgan28")], random_images(28), CPU)
    before = trainer.sample(0, 5, "eval")
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: broken)
    trainer.compile(True)
    with pytest.raises(OSError, match="no compiler here"):
        trainer.one_step()
    assert torch.equal(trainer.sample(0, 5, "eval"), before)


def test_a_trainer_that_was_warmed_up_is_freed_when_it_is_let_go_of():
    """Without the collector of cycles: a trial of many lanes must not keep the memory that the next one needs."""
    trainer = Trainer([small_spec("vanilla")], random_images(28), CPU)
    tuning.warm_up(trainer)
    gone = weakref.ref(trainer)
    gc.collect()
    gc.disable()
    try:
        del trainer
        assert gone() is None
    finally:
        gc.enable()
