"""Parts of conditional networks: embedded labels, appended to a network's input or projected onto its features.

`forward` does not depend on leading axes: labels are [..., B], and so everything here works on lanes unchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassEmbedding(nn.Module):
    """One trained vector for each class: labels [..., B] -> [..., B, dim].

    The same as `nn.Embedding`, as a product with one-hot labels. Vectors start from N(0, `std`^2).
    """

    def __init__(self, n_classes: int, dim: int, std: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_classes, dim) * std)

    def forward(self, labels: Tensor) -> Tensor:
        """Return the vectors of labels, int64 from 0 to n_classes - 1."""
        classes = torch.arange(self.weight.shape[-2], device=labels.device)
        return (labels.unsqueeze(-1) == classes).to(self.weight.dtype) @ self.weight

    def extra_repr(self) -> str:
        """Show the shape in the module's repr."""
        return f"{self.weight.shape[-2]}, {self.weight.shape[-1]}"


class LabelledInput(nn.Module):
    """net([inputs, embedding(labels)]): labels are appended to the input as in arXiv 1411.1784.

    `flatten` maps the input to vectors [B, F] first.
    """

    def __init__(self, flatten: nn.Module, embedding: ClassEmbedding, net: nn.Module) -> None:
        super().__init__()
        self.flatten, self.embedding, self.net = flatten, embedding, net

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the net's output for inputs [B, ...] and labels [B]."""
        vectors, embedded = self.flatten(inputs), self.embedding(labels)
        outputs: Tensor = self.net(torch.cat([vectors, embedded.to(vectors.dtype)], dim=-1))
        return outputs


class Projection(nn.Module):
    """logit(h) + embedding(labels) . h with features h [B, F] of the image: a projection discriminator.

    (arXiv 1802.05637.) `logit` maps features to [B, 1].
    """

    def __init__(self, features: nn.Module, logit: nn.Module, embedding: ClassEmbedding) -> None:
        super().__init__()
        self.features, self.logit, self.embedding = features, logit, embedding

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits [B] for images [B, C, H, W] and labels [B]."""
        features = self.features(images)
        towards_class = (features * self.embedding(labels).to(features.dtype)).sum(-1)
        logits: Tensor = self.logit(features).squeeze(-1) + towards_class
        return logits


CONTAINERS = (nn.Sequential, LabelledInput, Projection)
"""Modules without parameters of their own that call their children on every image of a batch by itself."""
