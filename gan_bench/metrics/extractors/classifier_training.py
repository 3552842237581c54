"""Training of the classifier: seeded, on the CPU, without the global random generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_bench.metrics.extractors.classifier_network import Classifier, init_classifier

StepCallback: TypeAlias = Callable[[int, int], None]
"""Called with (steps done, total steps) after each step."""


@dataclass(frozen=True)
class ClassifierRecipe:
    """Training recipe: Adam with a one-cycle learning rate; small random rotations, translations and scalings."""

    epochs: int
    max_steps: int | None = None
    batch_size: int = 128
    lr: float = 3e-3
    rotation_degrees: float = 12.0
    translation_pixels: float = 2.0
    scale: float = 0.1
    seed: int = 2048
    bf16: bool = False
    """bfloat16 autocast: twice as fast on CPUs that support it; off for training on a user's machine."""

    def total_steps(self, n: int) -> int:
        """Return the number of steps on `n` images."""
        steps = self.epochs * max(1, n // self.batch_size)
        return min(steps, self.max_steps) if self.max_steps else steps


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def train_classifier(
    images: Tensor, labels: Tensor, n_classes: int, recipe: ClassifierRecipe, on_step: StepCallback | None = None
) -> Classifier:
    """Train a classifier on uint8 [N, C, 28, 28] with labels int64 [N]; return it in eval mode."""
    rng = torch.Generator().manual_seed(recipe.seed)
    net = init_classifier(images.shape[1], n_classes, rng).to(memory_format=torch.channels_last)
    total = recipe.total_steps(len(images))
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _lr_factor(step / total))
    net.train()
    order = torch.empty(0, dtype=torch.int64)
    for step in range(total):
        if len(order) < recipe.batch_size:
            order = torch.cat([order, torch.randperm(len(images), generator=rng)])
        index, order = order[: recipe.batch_size], order[recipe.batch_size :]
        batch = augment(to_float(images[index]), recipe, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            _, logits = net(batch)
        loss = F.cross_entropy(logits.float(), labels[index])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimizer.step()
        scheduler.step()
        if on_step is not None:
            on_step(step + 1, total)
    return net.to(memory_format=torch.contiguous_format).eval()


def augment(images: Tensor, recipe: ClassifierRecipe, rng: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] in [-1, 1], each randomly rotated, translated and scaled; padded with black."""
    n, size = len(images), images.shape[-1]
    random = torch.rand(4, n, generator=rng) * 2 - 1
    angle = random[0] * math.radians(recipe.rotation_degrees)
    zoom = 1 + random[1] * recipe.scale
    shift = random[2:] * (2 * recipe.translation_pixels / size)
    rows = [zoom * angle.cos(), -zoom * angle.sin(), shift[0], zoom * angle.sin(), zoom * angle.cos(), shift[1]]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # shifted by 1, so that zero padding is black


@torch.inference_mode()
def accuracy(net: Classifier, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy of `net` on uint8 images [N, C, 28, 28]."""
    correct = 0
    for start in range(0, len(images), 1000):
        _, logits = net(to_float(images[start : start + 1000]))
        correct += int((logits.argmax(1) == labels[start : start + 1000]).sum())
    return correct / len(images)


def _lr_factor(position: float) -> float:
    """Return the learning rate's factor: linear warm-up over the first fifth, then cosine decay to 0."""
    if position < 0.2:
        return 0.1 + 0.9 * position / 0.2
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (position - 0.2) / 0.8)))
