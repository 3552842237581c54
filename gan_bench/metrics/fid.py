"""FID: the Frechet distance between Gaussians fitted to the features (arXiv 1706.08500)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_bench.errors import InputError
from gan_bench.metrics.extractors.extractor import Features
from gan_bench.metrics.fidelity import gaussian
from gan_bench.metrics.metric import Column, Measure, Metric, metrics


class Fid(Metric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), in squared feature units."""

    title = "FID"
    source = "arXiv 1706.08500"
    columns = (Column("fid", "FID", "lower"),)

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:
        """Raise InputError where a covariance would be singular: there must be more images than features."""
        few = min(n_real, n_fake)
        if few < feature_dim + 1:
            raise InputError(
                f"fid on {feature_dim} features needs at least {feature_dim + 1} real and generated images; "
                f"this would be {n_real} and {n_fake}: give --eval-samples {feature_dim + 1} or more, "
                "a larger data set, or --metrics without fid"
            )

    def against(self, real: Features) -> Measure:
        """Return the distance to `real`, whose covariance's root is kept.

        With S1 = A A' and S2 = B B', the trace of (S1 S2)^(1/2) is the sum of the singular values of A'B. Roots of
        the eigenvalues of S1 S2 would do too, but make noise of the rounding of those that are nought.
        """
        mean, covariance = gaussian(real.features)
        root = _root(covariance)

        def measure(fake: Features) -> Mapping[str, float]:
            other_mean, other_covariance = gaussian(fake.features)
            overlap = np.linalg.svd(root.T @ _root(other_covariance), compute_uv=False).sum()
            shift = (mean - other_mean).astype(np.float64)
            traces = np.trace(covariance) + np.trace(other_covariance)
            return {"fid": float(shift @ shift + traces - 2 * overlap)}

        return measure


def _root(covariance: NDArray[Any]) -> NDArray[Any]:
    """Return A with A A' = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[Any] = vectors * np.sqrt(values.clip(0))
    return root


metrics.register("fid")(Fid())
