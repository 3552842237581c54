"""ClassifierExtractor: the classifier as an extractor, and its safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from safetensors.torch import save
from torch import Tensor

from gan_bench.core.errors import ReadError
from gan_bench.core.tensor_file import parse_tensors
from gan_bench.data.base import resized
from gan_bench.metrics.extractors.base import Extractor, weights_sha256
from gan_bench.metrics.extractors.classifier_network import FEATURES, SIZE, Classifier, fold_batch_norm
from gan_bench.metrics.extractors.classifier_training import to_float

Metadata: TypeAlias = Mapping[str, str]
SHA256 = "weights_sha256"
MAX_CHANNELS, MAX_CLASSES = 64, 100_000


class ClassifierExtractor(Extractor):
    """A trained classifier; images of other sizes are resized to 28x28, bilinear and antialiased."""

    feature_dim = FEATURES

    def __init__(self, name: str, net: Classifier, device: torch.device, *, own_classes: bool) -> None:
        self.name, self.device = name, device
        self.sha256 = weights_sha256(net.state_dict())
        self.n_classes = net.head.out_features if own_classes else None
        on_cpu = device.type == "cpu"
        # On a CPU, activations of 64 images fit the cache, and channels-last is 3 times faster than contiguous.
        self.batch_size = 64 if on_cpu else 2000
        self._layout = torch.channels_last if on_cpu else torch.contiguous_format
        self.net = fold_batch_norm(net).requires_grad_(False).to(device).to(memory_format=self._layout)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features [B, 128], logits [B, K]) of uint8 [B, C, H, W]."""
        floats = to_float(resized(images, SIZE)).contiguous(memory_format=self._layout)
        features, logits = self.net(floats)
        return features, logits


def classifier_bytes(net: Classifier, metadata: Metadata) -> bytes:
    """Return a classifier and metadata about its training as the bytes of a safetensors file."""
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    return save(weights, metadata={**metadata, SHA256: weights_sha256(weights)})


def load_classifier(data: bytes) -> tuple[Classifier, Metadata]:
    """Return the classifier, in eval mode, and the metadata of a safetensors file; raise ValueError for others.

    Raises ValueError also where the metadata holds another hash than that of the weights.
    """
    try:
        file = parse_tensors(data, "the file")
        weights = {name: torch.from_numpy(array) for name, array in file.arrays.items()}
        if file.metadata.get(SHA256, sha256 := weights_sha256(weights)) != sha256:
            raise ValueError("hash mismatch")
        first, last = weights["body.0.weight"], weights["head.weight"]
        if first.ndim != 4 or last.ndim != 2 or first.shape[1] > MAX_CHANNELS or not 0 < len(last) <= MAX_CLASSES:
            raise ValueError("other shapes")
        net = Classifier(first.shape[1], len(last))
        net.load_state_dict(weights)
    except (ReadError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"not the weights of a classifier: {error}") from None
    return net.eval(), file.metadata
