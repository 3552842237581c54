"""Warm-up: state is restored, and programs with other losses or without a gain are not used."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from helpers.training_cases import CPU, random_batch, small_spec

from gan_bench.core.events import Notice
from gan_bench.training import warmup
from gan_bench.training.trainer import Trainer


def trained(specs, data) -> Trainer:
    trainer = Trainer(specs, data, CPU)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def test_warm_up_restores_the_state(model_name):
    spec = small_spec(model_name)
    trainer = Trainer([spec], random_batch(spec.image_size), CPU)
    before = trainer.state(0)
    assert warmup.warm_up(trainer) > 0
    after = trainer.state(0)
    assert before.state == after.state
    for name, array in before.arrays.items():
        assert np.array_equal(array, after.arrays[name]), name


@pytest.mark.parametrize("steps_before", [0, 3, 8])
def test_trial_steps_are_undone(steps_before):
    """Trials at the start, in the middle and at the end of an epoch do not change the result of a run."""
    specs, data = [small_spec("dcgan28", seed=seed) for seed in (0, 1)], random_batch(28)
    alone, tried = trained(specs, data), Trainer(specs, data, CPU)
    if steps_before:
        tried.train_steps(pause=lambda: tried.step >= steps_before)
    assert warmup.seconds_per_step(tried, 11) > 0
    timings = warmup.time_conv_algorithms(tried)
    assert {timing.layer for timing in timings["d"]} == {"0", "3"}
    assert all(timing.shape[0] == 2 for timing in timings["d"]), "of both lanes"
    while not tried.finished:
        tried.train_epoch()
    for lane in range(2):
        for name, array in alone.state(lane).arrays.items():
            assert np.array_equal(array, tried.state(lane).arrays[name]), name


class FakeGraph:
    """A CUDA graph on a CPU: replays the step, or nothing."""

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
    [(FakeGraph, None), (FaultyGraph, "gave other losses"), (NoGraph, "operation not permitted when stream")],
)
def test_graph_is_used_only_if_losses_equal_those_of_eager_steps(monkeypatch, graph, word):
    monkeypatch.setattr("gan_bench.training.warmup.Graph", graph)
    spec, data = small_spec("vanilla"), random_batch(28)
    alone, trainer, events = trained([spec], data), Trainer([spec], data, CPU), []
    warmup.capture(trainer, events.append)
    assert bool(trainer.graphs) is (word is None)
    texts = [event.text for event in events]
    assert (texts == []) if word is None else (len(texts) == 1 and word in texts[0])
    assert all("\n" not in text for text in texts)
    while not trainer.finished:
        trainer.train_epoch()
    for name, array in alone.state(0).arrays.items():
        assert np.array_equal(array, trainer.state(0).arrays[name]), name


@pytest.mark.parametrize(
    ("settings", "patterns"),
    [
        ({"r1_interval": 1}, [(True,)]),
        ({"r1_interval": 3}, [(True,), (False,)]),
        ({"r1_interval": 3, "d_steps": 2}, [(True, False), (False, True), (False, False)]),
    ],
)
def test_lazy_penalty_has_one_graph_per_pattern(monkeypatch, settings, patterns):
    """Captured steps give the numbers of eager ones, each step by the graph of its pattern."""
    monkeypatch.setattr("gan_bench.training.warmup.Graph", FakeGraph)
    spec, data = small_spec("vanilla", penalty="r1", settings=settings, steps=7), random_batch(28)
    alone, trainer = trained([spec], data), Trainer([spec], data, CPU)
    warmup.capture(trainer)
    assert list(trainer.graphs) == patterns
    assert {len(graph.generators) for graph in trainer.graphs.values()} == {3}
    while not trainer.finished:
        trainer.train_epoch()
    for name, array in alone.state(0).arrays.items():
        assert np.array_equal(array, trainer.state(0).arrays[name]), name


@pytest.mark.slow
def test_losses_of_compiled_steps_equal_those_of_eager_ones():
    spec, data = small_spec("dcgan28"), random_batch(28)
    eager, compiled = Trainer([spec], data, CPU), Trainer([spec], data, CPU)
    compiled.compile_networks(True)
    one, other = eager.train_epoch()[0], compiled.train_epoch()[0]
    assert (one.d_loss, one.g_loss) == pytest.approx((other.d_loss, other.g_loss), rel=1e-3)


def same(function, dynamic):
    return lambda *args: function(*args)


def wrong(function, dynamic):
    return lambda *args: 3 * function(*args) + 1


@pytest.mark.parametrize(
    ("compiler", "seconds", "kept", "texts"),
    [
        (same, (2.0, 1.0), True, []),
        (same, (1.0, 2.0), False, []),
        (wrong, (2.0, 1.0), False, ["torch.compile gave other losses; running without it."]),
        (
            lambda function, dynamic: broken,
            (2.0, 1.0),
            False,
            ["torch.compile failed (no compiler here); running without it."],
        ),
    ],
    ids=["faster", "slower", "wrong", "failing"],
)
def test_compiled_layers_are_used_only_if_equal_and_faster(monkeypatch, compiler, seconds, kept, texts):
    trainer, events, times = Trainer([small_spec("vanilla")], random_batch(28), CPU), [], iter(seconds)
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(warmup, "seconds_per_step", lambda *args: next(times))
    warmup.compile_if_faster(trainer, events.append)
    assert events == [Notice(text) for text in texts]
    assert (trainer._step.d._one != trainer._step.d._forward) is kept
    assert len(trainer.train_epoch()) == 1


@pytest.mark.parametrize("compiler", [same, wrong])
def test_steps_without_compiled_layers_are_captured_again(monkeypatch, compiler):
    """The capture of the compiled step may have failed and replaced the generators of the earlier graph."""
    trainer, times = Trainer([small_spec("vanilla")], random_batch(28), CPU), iter((1.0, 2.0))
    monkeypatch.setattr("gan_bench.training.warmup.Graph", FakeGraph)
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(warmup, "seconds_per_step", lambda *args: next(times))
    warmup.capture(trainer)
    (before,) = trainer.graphs.values()
    warmup.compile_if_faster(trainer)
    (after,) = trainer.graphs.values()
    assert isinstance(after, FakeGraph)
    assert after is not before


def broken(*args):
    raise OSError("no compiler here")


def test_samples_of_compiled_networks_do_not_use_the_compiler(monkeypatch):
    """A batch of another size would be compiled again, for a minute."""
    trainer = Trainer([small_spec("dcgan28")], random_batch(28), CPU)
    before = trainer.sampler(0).sample(5, "eval")
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: broken)
    trainer.compile_networks(True)
    with pytest.raises(OSError, match="no compiler here"):
        trainer.next_step()()
    assert torch.equal(trainer.sampler(0).sample(5, "eval"), before)


def test_warmed_up_trainer_is_freed_with_its_last_reference():
    """Without garbage collection: a trial of many lanes must not keep the memory that the next one needs."""
    trainer = Trainer([small_spec("vanilla")], random_batch(28), CPU)
    warmup.warm_up(trainer)
    gone = weakref.ref(trainer)
    gc.collect()
    gc.disable()
    try:
        del trainer
        assert gone() is None
    finally:
        gc.enable()
