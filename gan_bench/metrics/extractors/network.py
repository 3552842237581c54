"""The small classifier whose features and logits the scores of labelled data sets are computed on."""

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
    """Three convolutions and two linear layers, made for 28x28 images.

    Input float [B, C, 28, 28] in [-1, 1]; output the pair (features [B, 128], logits [B, K]), where the
    features are the rectified inputs of the last layer.
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


def initialised(channels: int, n_classes: int, generator: torch.Generator) -> Classifier:
    """Return a classifier with He-normal weights drawn from `generator`; the global one is left be."""
    with torch.device("meta"):  # building on the CPU would draw PyTorch's own initial weights
        net = Classifier(channels, n_classes)
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    # the larger of rectified values is the rectified larger one: after the pool there is a quarter to rectify
    return [conv, nn.BatchNorm2d(outputs), nn.MaxPool2d(2), nn.ReLU()]


def folded(net: Classifier) -> Classifier:
    """Return a copy of a trained classifier, in eval mode, whose convolutions have taken in their BatchNorms.

    Equal but for rounding, and a third of the passes over the largest arrays; not for training or keeping.
    """
    copied = copy.deepcopy(net).eval()
    layers = copied.body
    for place in range(len(layers)):
        conv, norm = layers[place - 1], layers[place]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[place - 1], layers[place] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return copied
