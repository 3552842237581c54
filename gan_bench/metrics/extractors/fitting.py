"""How a classifier is trained to be an extractor: seeded, on the CPU, leaving the global generator alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_bench.metrics.extractors.network import Classifier, initialised

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Fit:
    """The recipe of a training: Adam, one cycle of the rate, light random shifts, turns and scalings."""

    epochs: int
    max_steps: int | None = None
    batch_size: int = 128
    lr: float = 3e-3
    turn_degrees: float = 12.0
    shift_pixels: float = 2.0
    scale: float = 0.1
    seed: int = 2048
    bf16: bool = False
    """Half-width arithmetic: twice as fast where the processor has it, so not for training on a user's machine."""

    def steps(self, n: int) -> int:
        """Return how many steps are taken on `n` images."""
        steps = self.epochs * max(1, n // self.batch_size)
        return min(steps, self.max_steps) if self.max_steps else steps


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def fit_classifier(
    images: Tensor, labels: Tensor, n_classes: int, fit: Fit, report: Report | None = None
) -> Classifier:
    """Train a classifier on uint8 [N, C, 28, 28] with labels int64 [N]; the result is in eval mode."""
    draws = torch.Generator().manual_seed(fit.seed)
    net = initialised(images.shape[1], n_classes, draws).to(memory_format=torch.channels_last)
    total = fit.steps(len(images))
    optimiser = torch.optim.Adam(net.parameters(), lr=fit.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _cycle(step / total))
    net.train()
    order = torch.empty(0, dtype=torch.int64)
    for step in range(total):
        if len(order) < fit.batch_size:
            order = torch.cat([order, torch.randperm(len(images), generator=draws)])
        chosen, order = order[: fit.batch_size], order[fit.batch_size :]
        batch = disturbed(to_float(images[chosen]), fit, draws)
        with torch.autocast("cpu", torch.bfloat16, enabled=fit.bf16):
            _, logits = net(batch)
        loss = F.cross_entropy(logits.float(), labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimiser.step()
        schedule.step()
        if report is not None:
            report(step + 1, total)
    return net.to(memory_format=torch.contiguous_format).eval()


def disturbed(images: Tensor, fit: Fit, draws: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] in [-1, 1], each turned, shifted and scaled a little; black comes in."""
    n, size = len(images), images.shape[-1]
    random = torch.rand(4, n, generator=draws) * 2 - 1
    angle = random[0] * math.radians(fit.turn_degrees)
    zoom = 1 + random[1] * fit.scale
    shift = random[2:] * (2 * fit.shift_pixels / size)
    rows = [zoom * angle.cos(), -zoom * angle.sin(), shift[0], zoom * angle.sin(), zoom * angle.cos(), shift[1]]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # the padding's 0 is black after the shift


@torch.inference_mode()
def accuracy(net: Classifier, images: Tensor, labels: Tensor) -> float:
    """Return the share of uint8 images [N, C, 28, 28] that `net` classifies rightly."""
    right = 0
    for start in range(0, len(images), 1000):
        _, logits = net(to_float(images[start : start + 1000]))
        right += int((logits.argmax(1) == labels[start : start + 1000]).sum())
    return right / len(images)


def _cycle(position: float) -> float:
    """Return the rate's factor: a linear rise over the first fifth, then half a cosine down to nought."""
    if position < 0.2:
        return 0.1 + 0.9 * position / 0.2
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (position - 0.2) / 0.8)))
