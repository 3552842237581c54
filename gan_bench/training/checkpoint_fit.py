"""Whether stored weights and states fit the networks of a spec: checksums only tell that they are as written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gan_bench.core.errors import InputError, ReadError
from gan_bench.core.failures import failure_reason
from gan_bench.core.records import Checkpoint
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.models.base import build_model
from gan_bench.training.group_state import GroupState
from gan_bench.training.step import MEASURES

COUNTS = ("step", "epoch", "updates")


def require_fit(spec: TrainingSpec, checkpoint: Checkpoint) -> None:
    """Raise ReadError for a checkpoint whose tensors or state do not fit the run."""
    model = build_model(spec)
    group = GroupState(model, [spec], torch.device("cpu"), torch.float32)
    _require_counts(checkpoint.state)
    if "position" in checkpoint.state and getattr(checkpoint.arrays.get("epoch.sums"), "shape", ()) != (
        len(MEASURES),
    ):
        raise ReadError("it does not fit: the sums of its epoch are missing")
    try:
        group.load(0, checkpoint)
    except InputError:
        raise
    except Exception as error:
        raise ReadError(f"it does not fit the networks of {spec.label}: {failure_reason(error)}") from error


def require_generator_fit(spec: TrainingSpec, structure: nn.Module, checkpoint: Checkpoint) -> None:
    """Raise ReadError for a checkpoint whose generator lacks a tensor of `structure`, or has another shape."""
    for name, value in (*structure.named_parameters(), *structure.named_buffers()):
        found = checkpoint.arrays.get(f"g.params.{name}", checkpoint.arrays.get(f"g.buffers.{name}"))
        if found is None or found.shape != tuple(value.shape):
            shape = "is missing" if found is None else f"is {list(found.shape)}, not {list(value.shape)}"
            raise ReadError(f"the weights of {spec.run_id} do not fit its generator: {name} {shape}")


def _require_counts(values: Mapping[str, Any]) -> None:
    for name in COUNTS:
        if type(values.get(name)) is not int or values[name] < 0:
            raise ReadError(f"it does not fit: {name} is not a number of steps or epochs")
    position = values.get("position", 0)
    if type(position) is not int or not 0 <= position <= values["step"]:
        raise ReadError("it does not fit: the position in its epoch is not valid")
    if not isinstance(values.get("epoch_seconds", 0.0), int | float):
        raise ReadError("it does not fit: the time of its epoch is not a number")
