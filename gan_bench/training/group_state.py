"""GroupState: networks, optimizers and random streams of all lanes of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gan_bench.core.records import Checkpoint
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.models.base import Model
from gan_bench.training import state
from gan_bench.training.optimizer import Adam
from gan_bench.training.rng import LaneRng


class GroupState:
    """Everything that training changes, except the position in the epoch; each lane can be saved and restored.

    `g_net` and `d_net` are the structures of both networks (see `state.structure`).
    """

    def __init__(
        self, model: Model, specs: Sequence[TrainingSpec], device: torch.device, dtype: torch.dtype
    ) -> None:
        recipe, seeds = model.recipe, [spec.seed for spec in specs]
        self.g_net, self.d_net = state.structure(model.generator), state.structure(model.discriminator)
        self.g = state.initial_state(self.g_net, model.generator, seeds, "g", recipe.init, device, dtype)
        self.d = state.initial_state(self.d_net, model.discriminator, seeds, "d", recipe.init, device, dtype)
        betas = (recipe.beta1, recipe.beta2)
        self.g_adam = Adam(self.g, [spec.lr_g for spec in specs], *betas)
        self.d_adam = Adam(self.d, [spec.lr_d for spec in specs], *betas)
        self.streams = [LaneRng(seed, device) for seed in seeds]
        self._d_steps = recipe.d_steps

    def parameters(self) -> tuple[int, int]:
        """Return the numbers of parameters of one generator and one discriminator."""
        counts = [sum(value[0].numel() for value in net.params.values()) for net in (self.g, self.d)]
        return counts[0], counts[1]

    def arrays(self, lane: int) -> dict[str, Any]:
        """Return a copy of the lane: parameters, buffers and moments of both networks, and the random streams."""
        return (
            _copies("g.", self.g.lane(lane))
            | _copies("d.", self.d.lane(lane))
            | _copies("stream.", self.streams[lane].state())
        )

    def generator_arrays(self, lane: int) -> dict[str, Any]:
        """Return a copy of the generator's parameters and buffers: enough to sample from."""
        return _copies("g.", self.g.lane(lane, ("params", "buffers")))

    def load(self, lane: int, checkpoint: Checkpoint) -> None:
        """Restore a lane from `arrays`, and the number of updates."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in checkpoint.arrays.items()}
        self.g.load_lane(lane, _under("g.", tensors))
        self.d.load_lane(lane, _under("d.", tensors))
        self.streams[lane].restore(_under("stream.", tensors))
        self.g_adam.steps = int(checkpoint.state["updates"])
        self.d_adam.steps = self.g_adam.steps * self._d_steps


def _copies(prefix: str, tensors: state.Tensors) -> dict[str, Any]:
    return {f"{prefix}{name}": value.detach().cpu().numpy().copy() for name, value in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
