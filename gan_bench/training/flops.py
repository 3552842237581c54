"""How much arithmetic a step is, counted from the operations themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan_bench.losses.loss import losses
from gan_bench.models.model import build_model
from gan_bench.spec import RunSpec
from gan_bench.training.draws import Draws
from gan_bench.training.state import NetState, dropouts
from gan_bench.training.step import Step


class _NoUpdate:
    """Stands in for the optimiser, whose elementwise work is not counted."""

    def step_(self, gradients: Sequence[Tensor]) -> None:
        """Leave the parameters as they are."""


def step_flops(spec: RunSpec) -> int | None:
    """Return the floating-point operations of one D + G step of one lane: 2 per multiply-add of every product.

    The step itself is run on PyTorch's meta device, where tensors have shapes and no values. None for a net that
    can't be run so: one that looks at values, say. That must cost it nothing but the count.
    """
    try:
        return _counted(spec)
    except Exception:
        return None


def _counted(spec: RunSpec) -> int:
    model = build_model(spec)
    with torch.device("meta"):
        g, d = model.generator(), model.discriminator()
        states = [
            NetState(
                {name: value.detach().unsqueeze(0) for name, value in net.named_parameters()},
                {name: value.unsqueeze(0) for name, value in net.named_buffers() if not name.endswith("mask")},
            )
            for net in (g, d)
        ]
        batch, shape = spec.batch_size, model.shape
        masks = {f"{name}.mask": torch.empty(1, 2, batch, *layer.features) for name, layer in dropouts(d)}
        once = {name: mask[:, 0] for name, mask in masks.items()}
        draws = Draws(torch.empty(1, batch, model.recipe.z_dim), masks, once)
        real = torch.empty(1, batch, shape.channels, shape.size, shape.size, dtype=torch.uint8)
        step = Step(g, d, losses.get(spec.loss)(), torch.float32, torch.device("meta"))
        with FlopCounterMode(display=False) as counter:
            step(states[0], states[1], _NoUpdate(), _NoUpdate(), real, draws)
    return int(counter.get_total_flops())
