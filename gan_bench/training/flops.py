"""FLOPs of a training step, counted from its operations."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.losses.base import build_loss
from gan_bench.models.base import build_model
from gan_bench.penalties.base import build_penalty
from gan_bench.training.group_state import GroupState
from gan_bench.training.state import dropouts
from gan_bench.training.step import Step
from gan_bench.training.step_noise import PenaltyNoise, StepNoiseSampler

PLAIN_LAYERS = torch.device("meta")
"""The device for which a step uses PyTorch's own layers, whose operations the counter knows."""


class _NoUpdate:
    """An optimizer without work: elementwise operations are not counted."""

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Leave the parameters unchanged."""


def step_flops(spec: TrainingSpec) -> int | None:
    """Return the floating-point operations of one step of one lane: 2 per multiply-add of every product.

    A step is `d_steps` updates of D and one of G; a lazy penalty counts with its share. The step runs on
    PyTorch's fake tensors, which have shapes and no values. None for a net that can't run there, such as one with
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
    model, loss, dtype = build_model(spec), build_loss(spec), torch.float32
    recipe, shape = model.recipe, (spec.channels, spec.image_size, spec.image_size)
    with FakeTensorMode(allow_non_fake_inputs=True):  # random generators stay real
        group = GroupState(model, [spec], torch.device("cpu"), dtype)
        layers = dropouts(group.d_net)
        draw_noise = StepNoiseSampler(
            recipe.noise, (spec.batch_size, recipe.z_dim), layers, dtype, dtype, loss.uses_real_in_generator
        )
        images = torch.empty(1, spec.batch_size, *shape, dtype=torch.uint8)
        labels = torch.zeros(1, spec.batch_size, dtype=torch.int64)
        inputs = [(Batch(images, labels), draw_noise(group.streams))] * recipe.d_steps
        penalty_noise = PenaltyNoise(group.streams, layers, dtype, dtype) if penalized else None
        step = Step(model, group.g_net, group.d_net, loss, build_penalty(spec), dtype, PLAIN_LAYERS)
        with FlopCounterMode(display=False) as counter:
            step(group.g, group.d, _NoUpdate(), _NoUpdate(), inputs, [penalty_noise] * recipe.d_steps)
    return int(counter.get_total_flops())
