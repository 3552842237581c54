"""What an extractor is: a fixed network that turns images into the features and logits that scores need."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import platformdirs
import torch
from torch import Tensor

from gan_bench.data.dataset import ImageData, Notify
from gan_bench.environment import full_precision
from gan_bench.registry import Registry

Advance: TypeAlias = Callable[[int], None]
"""Told how many images have been seen since the last call."""


@dataclass(frozen=True)
class Features:
    """What an extractor says of N images, on its scoring device: features [N, D], logits [N, K], both float32."""

    features: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def to(self, device: torch.device) -> Features:
        """Return the same on a device."""
        return Features(self.features.to(device), self.logits.to(device))


class Extractor(ABC):
    """A loaded network. The same images give the same features, whatever batch they come in."""

    name: str
    feature_dim: int
    n_classes: int | None
    """How many classes its logits stand for where they are the data set's own; None otherwise."""
    sha256: str
    """The hash of the weights."""
    batch_size: int

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, D], logits [B, K]) of uint8 [B, C, H, W] on the extractor's device."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def scoring_device(self) -> torch.device:
        """Where features stay and are compared: on the CPU where the device lacks float64, as MPS does."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    @torch.inference_mode()
    def __call__(self, images: Tensor, advance: Advance | None = None) -> Features:
        """Return the features of uint8 [N, C, H, W] on any device, computed in large batches, in full fp32."""
        features, logits = [], []
        with full_precision(self.device):
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size].to(self.device, non_blocking=True)
                one, other = self.forward(batch)
                features.append(one.float().to(self.scoring_device))
                logits.append(other.float().to(self.scoring_device))
                if advance is not None:
                    advance(len(batch))
        return Features(torch.cat(features), torch.cat(logits))


@dataclass(frozen=True)
class Context:
    """What an extractor may need to be made: the data set it is for, where to run, where to keep things."""

    data: ImageData
    device: torch.device
    cache_dir: Path
    offline: bool
    notify: Notify


class ExtractorSource(ABC):
    """What is known of an extractor before it is loaded, and how to load it."""

    name: str
    title: str
    source: str
    feature_dim: int
    dataset: str | None
    """The data set whose own classes its logits stand for, if any."""

    @abstractmethod
    def at_hand(self) -> bool:
        """Return whether `build` needs no download."""

    @abstractmethod
    def check(self, context: Context) -> None:
        """Raise InputError, at once and with no download, where `build` is bound to fail."""

    @abstractmethod
    def build(self, context: Context) -> Extractor:
        """Return the extractor; raise InputError, saying what to do, where its weights can't be had."""


extractors: Registry[ExtractorSource] = Registry(
    "extractor", "gan_bench.metrics.extractors", "gan_bench.extractors"
)


def default_cache() -> Path:
    """Return the folder in the user's cache where features and trained extractors are kept."""
    return platformdirs.user_cache_path("gan_bench") / "metrics"


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """Return the hash of named arrays: names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}:{array.dtype}:{tuple(array.shape)};".encode())
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()
