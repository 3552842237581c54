"""Wrappers of torch-fidelity's functions from features to values, with every option explicit."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_bench.core.errors import InputError
from gan_bench.data.archives import torchvision_error

try:
    import torch_fidelity
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_features_to_statistics
    from torch_fidelity.metric_isc import isc_features_to_metric
except (
    RuntimeError,
    OSError,
) as error:  # torch-fidelity imports torchvision, which may be built for another torch
    raise InputError(torchvision_error(error)) from None

SEED = 2048
"""Seed of the shuffles and subsets that metrics draw, of the subsets of real images and of the noise images."""
VERSION: str = torch_fidelity.__version__
INCEPTION_URL: str = URL_INCEPTION_V3
ISC_SPLITS = 10


def gaussian(features: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean [D] and covariance [D, D] of features [N, D]."""
    # always NumPy on the CPU: the rounding of its float32 mean is in the sixth digit of every published FID
    statistics = fid_features_to_statistics(features.cpu())
    return statistics["mu"], statistics["sigma"]


def inception_score(logits: Tensor) -> Mapping[str, float]:
    """Return inception_score_mean and inception_score_std over 10 splits of logits [N, K]."""
    score: dict[str, float] = isc_features_to_metric(logits, splits=ISC_SPLITS, shuffle=True, rng_seed=SEED)
    return score


def inception_network(saved_weights: io.BytesIO) -> nn.Module:
    """Return the network, on the CPU and in eval mode; it maps uint8 [B, 3, H, W] to (features, logits)."""
    with torch.random.fork_rng(devices=[]):  # random weights are drawn before they are overwritten
        net: nn.Module = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=saved_weights
        )
    return net
