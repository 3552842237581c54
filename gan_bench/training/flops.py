"""FLOPs of a training step, counted from its operations."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.losses.base import build_loss
from gan_bench.models.base import Model, build_model
from gan_bench.penalties.base import build_penalty
from gan_bench.training.state import NetState, dropouts, structure
from gan_bench.training.step import Step
from gan_bench.training.step_noise import Masks, NamedDropouts, PenaltyNoise, StepNoise

META = torch.device("meta")


class _NoUpdate:
    """An optimizer without work: elementwise operations are not counted."""

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Leave the parameters unchanged."""


class _MetaNoise(PenaltyNoise):
    """Random numbers of a penalty on the meta device, which has no generators."""

    def __init__(self, layers: NamedDropouts) -> None:
        super().__init__([], layers, torch.float32, torch.float32)

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Return an empty tensor [1, *shape]."""
        return torch.empty(1, *shape, device=META)

    normal = uniform

    def masks(self, batch: int) -> Masks:
        """Return empty masks [1, batch, ...]."""
        return _empty_masks(self._dropouts, (batch,))


def step_flops(spec: TrainingSpec) -> int | None:
    """Return the floating-point operations of one step of one lane: 2 per multiply-add of every product.

    A step is `d_steps` updates of D and one of G; a lazy penalty counts with its share. The step runs on PyTorch's
    meta device, where tensors have shapes and no values. None for a net that can't run there, such as one with
    data-dependent control flow. Runs that differ in seed and learning rates only are counted once.
    """
    return _step_flops(spec.model_copy(update={"seed": 0, "lr_g": 1e-4, "lr_d": 1e-4}))


@functools.lru_cache(maxsize=64)
def _step_flops(spec: TrainingSpec) -> int | None:
    try:
        penalty = build_penalty(spec)
        plain = _counted(spec, penalized=False)
        if penalty is None:
            return plain
        return plain + round((_counted(spec, penalized=True) - plain) / penalty.interval)
    except Exception:
        return None


def _counted(spec: TrainingSpec, *, penalized: bool) -> int:
    model = build_model(spec)
    g, d = structure(model.generator), structure(model.discriminator)
    states = [_net_state(net) for net in (g, d)]
    loss, d_steps = build_loss(spec), model.recipe.d_steps
    noise = _noise(model, spec.batch_size, dropouts(d), real_in_generator=loss.uses_real_in_generator)
    shape = (1, spec.batch_size, model.shape.channels, model.shape.size, model.shape.size)
    batch = Batch(torch.empty(shape, dtype=torch.uint8, device=META))
    step = Step(g, d, loss, build_penalty(spec), torch.float32, META)
    penalties = [_MetaNoise(dropouts(d)) if penalized else None] * d_steps
    with META, FlopCounterMode(display=False) as counter:
        step(states[0], states[1], _NoUpdate(), _NoUpdate(), [(batch, noise)] * d_steps, penalties)
    return int(counter.get_total_flops())


def _net_state(net: torch.nn.Module) -> NetState:
    masks = {f"{name}.mask" for name, _ in dropouts(net)}
    return NetState(
        {name: value.detach().unsqueeze(0) for name, value in net.named_parameters()},
        {name: value.unsqueeze(0) for name, value in net.named_buffers() if name not in masks},
    )


def _noise(model: Model, batch: int, layers: NamedDropouts, *, real_in_generator: bool) -> StepNoise:
    pair = _empty_masks(layers, (2, batch))
    single = _empty_masks(layers, (batch,))
    noise = torch.empty(1, batch, model.recipe.z_dim, device=META)
    return StepNoise(noise, pair, pair if real_in_generator else single)


def _empty_masks(layers: NamedDropouts, leading: tuple[int, ...]) -> Masks:
    return {f"{name}.mask": torch.empty(1, *leading, *layer.features, device=META) for name, layer in layers}
