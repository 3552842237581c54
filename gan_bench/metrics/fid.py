"""FID: the Frechet distance between Gaussians fitted to the features (arXiv 1706.08500)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_bench.core.errors import InputError
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.fidelity import gaussian


class Fid(Metric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), in squared feature units."""

    title = "FID"
    source = "arXiv 1706.08500"
    columns = (Column("fid", "FID", "lower"),)

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError if a covariance would be singular: there must be more images than features."""
        if min(n_real, n_fake) <= feature_dim:
            raise InputError(
                f"fid on {feature_dim} features requires at least {feature_dim + 1} real and generated images, "
                f"not {n_real} and {n_fake}: give --eval-samples {feature_dim + 1} or more, "
                "a larger data set, or --metrics without fid"
            )

    def bind(self, real: Features) -> MetricFunction:
        """Return the distance to `real`; the square root of its covariance is computed once.

        With S1 = A A' and S2 = B B', the trace of (S1 S2)^(1/2) is the sum of the singular values of A'B. Square
        roots of the eigenvalues of S1 S2 would amplify the rounding errors of those that are 0.
        """
        mean, covariance = gaussian(real.features)
        root = _root(covariance)

        def distance(fake: Features) -> Mapping[str, float]:
            other_mean, other_covariance = gaussian(fake.features)
            overlap = np.linalg.svd(root.T @ _root(other_covariance), compute_uv=False).sum()
            shift = (mean - other_mean).astype(np.float64)
            traces = np.trace(covariance) + np.trace(other_covariance)
            return {"fid": float(shift @ shift + traces - 2 * overlap)}

        return distance


def _root(covariance: NDArray[Any]) -> NDArray[Any]:
    """Return A with A A' = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[Any] = vectors * np.sqrt(values.clip(0))
    return root


metrics.register("fid")(Fid())
