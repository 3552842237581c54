"""Classifier: the small network whose features and logits scores of labelled data sets are computed on."""

from __future__ import annotations

import copy
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIZE = 28
FEATURES = 128
Outputs: TypeAlias = tuple[Tensor, Tensor]


class Classifier(nn.Module):
    """Three convolutions and two linear layers for 28x28 images.

    Input: float [B, C, 28, 28] in [-1, 1]. Output: (features [B, 128], logits [B, K]), where the features are the
    inputs of the last layer, after its ReLU.
    """

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(channels, 32),
            *_block(32, 64),
            *_block(64, 128),
            nn.Flatten(),
            nn.Linear(1152, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, n_classes)

    def forward(self, images: Tensor) -> Outputs:
        """Return (features, logits) of float images."""
        features = self.body(images)
        return features, self.head(features)


def init_classifier(channels: int, n_classes: int, rng: torch.Generator) -> Classifier:
    """Return a classifier with He-normal weights drawn from `rng`; the global generator is not used."""
    with torch.device("meta"):  # on the CPU, PyTorch's own initialization would draw from the global generator
        net = Classifier(channels, n_classes)
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    # max pooling and ReLU commute; after the pool, ReLU has a quarter of the values to process
    return [conv, nn.BatchNorm2d(outputs), nn.MaxPool2d(2), nn.ReLU()]


def fold_batch_norm(net: Classifier) -> Classifier:
    """Return a copy in eval mode with each BatchNorm folded into its convolution, for inference only.

    Equal up to rounding, with a third of the passes over the largest activations.
    """
    folded = copy.deepcopy(net).eval()
    layers = folded.body
    for index in range(1, len(layers)):
        conv, norm = layers[index - 1], layers[index]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[index - 1], layers[index] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return folded
