"""Trainers for tests: train to the end, read and compare weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.core.events import Event
from gan_bench.training.trainer import Trainer

F64 = torch.float64


def finish(trainer: Trainer) -> Trainer:
    """Train to the end of the run."""
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def initial_state(trainer: Trainer) -> dict[str, dict[str, Tensor]]:
    """A copy of the first lane's parameters and buffers, as `load_state_dict` takes them: {"g": ..., "d": ...}."""
    return {
        net: {name: value[0].clone() for name, value in {**state.params, **state.buffers}.items()}
        for net, state in (("g", trainer.g), ("d", trainer.d))
    }


def weights(trainer: Trainer, lane: int = 0) -> dict[str, Tensor]:
    """A copy of a lane's parameters and buffers in float64, by names such as `g.0.weight`."""
    return {
        f"{net}.{name}": value[lane].to(F64, copy=True)
        for net, state in (("g", trainer.g), ("d", trainer.d))
        for name, value in {**state.params, **state.buffers}.items()
    }


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    """Fail unless every tensor differs by at most `tolerance` relative to its largest value, or to 1."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        difference = (value.to(found[name]) - found[name]).abs().max().item()
        assert difference <= tolerance * max(1.0, value.abs().max().item()), f"{name} differs by {difference:.3g}"


def fail_on_event(event: Event) -> None:
    """A listener for code that must emit nothing."""
    raise AssertionError(event)
