"""Warm-up on a GPU: CUDA graphs, their launches and memory, failed captures, and torch.compile."""

from __future__ import annotations

import pytest
import torch
from helpers.trainers import F64, assert_close, fail_on_event, finish, weights
from helpers.training_cases import random_batch, small_spec

from gan_bench.core.events import Notice
from gan_bench.devices import memory, numerics
from gan_bench.training import warmup
from gan_bench.training.trainer import Trainer


def fail_to_capture(trainer: Trainer) -> None:
    """Attempt to capture a step that waits for the device, which CUDA forbids."""
    advance, notices = trainer.advance, []

    def synchronizing(penalized=None) -> None:
        advance(penalized)
        not trainer.divergence()

    trainer.advance = synchronizing
    warmup.capture(trainer, notices.append)
    trainer.advance = advance
    assert not trainer.graphs
    assert [type(notice) for notice in notices] == [Notice]
    assert notices[0].text.startswith("CUDA graph capture failed (")


def test_failed_capture_does_not_change_the_run(device, model_name):
    """A later capture of the same trainer succeeds, and the run ends as an eager one does."""
    spec = small_spec(model_name, steps=7)
    data = random_batch(spec.image_size, count=40).to(device)
    eager, trainer = Trainer([spec], data, device, F64), Trainer([spec], data, device, F64)
    fail_to_capture(trainer)
    warmup.warm_up(trainer, fail_on_event)
    assert trainer.graphs
    assert_close(weights(finish(trainer)), weights(finish(eager)), 1e-9)


def test_failed_capture_releases_its_memory(device):
    data, reserved = random_batch(28).to(device), []
    for _ in range(3):
        trainer = Trainer([small_spec("vanilla", seed=seed) for seed in range(4)], data, device)
        fail_to_capture(trainer)
        trainer.next_step()()
        del trainer
        memory.release_memory(device)
        reserved.append(torch.cuda.memory_reserved(device))
    assert reserved[1] == reserved[2]


def test_step_is_one_launch_and_epoch_waits_twice(emulator, model_name):
    """Six more steps add no synchronization, and a few launches each: the graph and its generators' offsets."""
    device, counts = torch.device("cuda", 0), []
    for steps in (2, 8):
        spec = small_spec(model_name, steps=steps)
        trainer = Trainer([spec], random_batch(spec.image_size, 16 * spec.batch_size).to(device), device)
        warmup.warm_up(trainer, fail_on_event, fuse=False)
        assert trainer.graphs
        trainer._epoch.open(0)
        waits, launches = emulator.waits(), emulator.launches()
        trainer.train_steps()
        counts.append((emulator.waits() - waits, emulator.launches() - launches))
    (waits, launches), (more_waits, more_launches) = counts
    assert waits == more_waits <= 2, "when the clock starts and when it stops"
    assert 1 <= (more_launches - launches) / 6 <= 6


def test_deterministic_run_makes_no_decision_by_timing(device, monkeypatch):
    """torch.compile is tried for a long training, unless algorithms are deterministic."""
    tried = []
    monkeypatch.setattr(warmup, "MIN_COMPILE_SECONDS", -1.0)
    monkeypatch.setattr(warmup, "compile_if_faster", lambda trainer, on_event: tried.append(trainer))
    data = random_batch(28).to(device)
    trainer = Trainer([small_spec("vanilla")], data, device)
    warmup.warm_up(trainer)
    assert tried == [trainer]
    numerics.use_deterministic_algorithms()
    warmup.warm_up(Trainer([small_spec("vanilla")], data, device))
    assert tried == [trainer]


@pytest.mark.parametrize(("name", "precision", "lanes"), [("vanilla", "tf32", 4), ("dcgan64", "bf16", 1)])
def test_compiled_steps_are_captured_and_have_the_losses_of_eager_ones(
    real_gpu, monkeypatch, name, precision, lanes
):
    seconds = iter((2.0, 1.0))
    monkeypatch.setattr(warmup, "seconds_per_step", lambda *args: next(seconds))
    specs = [small_spec(name, seed=seed, precision=precision) for seed in range(lanes)]
    data = random_batch(specs[0].image_size).to(real_gpu)
    eager, compiled = Trainer(specs, data, real_gpu), Trainer(specs, data, real_gpu)
    warmup.capture(compiled, fail_on_event)
    plain = compiled.graphs
    warmup.compile_if_faster(compiled, fail_on_event)
    assert compiled.graphs
    assert compiled.graphs is not plain
    tolerance = 5e-2 if precision == "bf16" else 1e-2
    for one, other in zip(eager.train_epoch(), compiled.train_epoch(), strict=True):
        assert one.d_loss == pytest.approx(other.d_loss, abs=tolerance)
        assert one.g_loss == pytest.approx(other.g_loss, abs=tolerance)
