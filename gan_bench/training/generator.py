"""A trained generator by itself: drawing images from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torchvision.utils import make_grid

from gan_bench.models.model import build_model
from gan_bench.record import Checkpoint
from gan_bench.spec import RunSpec
from gan_bench.training.streams import draw_noise, generator

if TYPE_CHECKING:
    from gan_bench.record import Images

GRID_SIDE = 8
BATCH = 500


@torch.inference_mode()
def draw(images: Callable[[Tensor], Tensor], noise: Tensor) -> Tensor:
    """Return uint8 images [n, C, H, W] for noise [n, z_dim]; `images` makes them in [-1, 1], a batch at a time."""
    parts = [images(part) for part in torch.split(noise, BATCH)]
    return torch.cat([part.float().add(1).mul(127.5) for part in parts]).round_().clamp_(0, 255).to(torch.uint8)


def grid(images: Tensor) -> Images:
    """Return uint8 images [n, C, H, W] as one picture, 8 in a row with 2 pixels between: [H, W] or [H, W, 3]."""
    picture = make_grid(images.cpu(), nrow=GRID_SIDE, padding=2)
    whole: Images = (picture[0] if images.shape[1] == 1 else picture.permute(1, 2, 0)).contiguous().numpy()
    return whole


def draw_grid(spec: RunSpec, weights: Checkpoint, count: int, seed: int) -> Images:
    """Return a grid of `count` images drawn on the CPU from a checkpoint's generator with noise of `seed`."""
    model = build_model(spec)
    with torch.device("meta"):
        module = model.generator()
    tensors = {
        name.split(".", 2)[2]: torch.from_numpy(np.array(array))
        for name, array in weights.arrays.items()
        if name.startswith(("g.params.", "g.buffers."))
    }
    source = generator(seed, "sample", torch.device("cpu"))
    noise = draw_noise(model.recipe.noise, (count, model.recipe.z_dim), source, torch.float32)
    module.eval()
    return grid(draw(lambda part: functional_call(module, tensors, (part,)), noise))
