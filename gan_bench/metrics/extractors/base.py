"""Extractor: a fixed network that maps images to the features and logits that scores are computed on."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from gan_bench.core.events import OnEvent
from gan_bench.core.private_folder import user_cache
from gan_bench.core.registry import Registry
from gan_bench.data.base import ImageData
from gan_bench.devices import numerics

ImageCounter: TypeAlias = Callable[[int], None]
"""Called with the number of images in each processed batch."""


@dataclass(frozen=True)
class Features:
    """Features [N, D] and logits [N, K] of N images, both float32, on the extractor's scoring device."""

    features: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> Features:
        return Features(self.features[rows], self.logits[rows])

    def to(self, device: torch.device) -> Features:
        """Return a copy on a device."""
        return Features(self.features.to(device), self.logits.to(device))


class Extractor(ABC):
    """A loaded network. Deterministic: equal images give equal features, whatever the batch size."""

    name: str
    feature_dim: int
    n_classes: int | None
    """Number of classes where the logits are the data set's own classes; None otherwise."""
    sha256: str
    """Hash of the weights."""
    batch_size: int
    device: torch.device
    """Device of the weights."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, D], logits [B, K]) of uint8 [B, C, H, W] on the extractor's device."""

    @property
    def scoring_device(self) -> torch.device:
        """Device of the features and metrics: the CPU where the device lacks float64, as MPS does."""
        return self.device if self.device.type == "cuda" else torch.device("cpu")

    @torch.inference_mode()
    def __call__(self, images: Tensor, counter: ImageCounter | None = None) -> Features:
        """Return the features of uint8 [N, C, H, W] on any device, computed in batches in full fp32."""
        features, logits = [], []
        with numerics.full_precision(self.device):
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size].to(self.device, non_blocking=True)
                batch_features, batch_logits = self.forward(batch)
                features.append(batch_features.float().to(self.scoring_device))
                logits.append(batch_logits.float().to(self.scoring_device))
                if counter is not None:
                    counter(len(batch))
        return Features(torch.cat(features), torch.cat(logits))


@dataclass(frozen=True)
class ExtractorContext:
    """Inputs of `ExtractorSource.build`: evaluated data set, device, cache folder, event listener."""

    data: ImageData
    device: torch.device
    cache_dir: Path
    offline: bool
    on_event: OnEvent


class ExtractorSource(ABC):
    """Metadata of an extractor, available without loading it, and its factory."""

    name: str
    title: str
    source: str
    feature_dim: int
    dataset: str | None
    """The data set whose own classes the logits are, if any."""

    def state(self) -> str:
        """Return the state of the weights in words, for `doctor` and `list`: available, missing, damaged, ..."""
        return "available"

    @abstractmethod
    def check(self, context: ExtractorContext) -> None:
        """Raise InputError, without a download, where `build` is certain to fail."""

    @abstractmethod
    def build(self, context: ExtractorContext) -> Extractor:
        """Return the loaded extractor; raise InputError with a fix where its weights are unavailable."""


extractors: Registry[ExtractorSource] = Registry(
    "extractor", "gan_bench.metrics.extractors", "gan_bench.extractors"
)


def default_cache() -> Path:
    """Return the folder in the user's cache for features and trained extractors."""
    return user_cache() / "metrics"


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """Return the hash of named arrays: names, dtypes, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}:{array.dtype}:{tuple(array.shape)};".encode())
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()
