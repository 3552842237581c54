"""The classifier as an extractor, and as a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gan_bench.data.dataset import resized
from gan_bench.metrics.extractors.extractor import Extractor, weights_sha256
from gan_bench.metrics.extractors.fitting import to_float
from gan_bench.metrics.extractors.network import FEATURES, SIZE, Classifier, folded

Notes: TypeAlias = Mapping[str, str]


class ClassifierExtractor(Extractor):
    """A trained classifier; images of other sizes than 28x28 are resized to it, bilinear and antialiased."""

    feature_dim = FEATURES

    def __init__(self, name: str, net: Classifier, device: torch.device, *, own_classes: bool) -> None:
        self.name = name
        self.sha256 = weights_sha256(net.state_dict())
        self.n_classes = net.head.out_features if own_classes else None
        on_cpu = device.type == "cpu"
        # On a CPU: 64 images' activations fit the cache, and images last is three times slower than channels last.
        self.batch_size = 64 if on_cpu else 2000
        self._layout = torch.channels_last if on_cpu else torch.contiguous_format
        self.net = folded(net).requires_grad_(False).to(device).to(memory_format=self._layout)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.net.head.weight.device

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, 128], logits [B, K]) of uint8 [B, C, H, W]."""
        floats = to_float(resized(images, SIZE)).contiguous(memory_format=self._layout)
        features, logits = self.net(floats)
        return features, logits


def packed(net: Classifier, notes: Notes) -> bytes:
    """Return a classifier and notes on how it came about as the bytes of a safetensors file."""
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    return save(weights, metadata=dict(notes))


def unpacked(data: bytes) -> tuple[Classifier, Notes]:
    """Return the classifier and the notes of a safetensors file; raise ValueError where it is no such file."""
    try:
        weights = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        first, last = weights["body.0.weight"], weights["head.weight"]
        net = Classifier(first.shape[1], len(last))
        net.load_state_dict(weights)
    except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"not the weights of a classifier: {error}") from None
    return net.eval(), header.get("__metadata__", {})
