"""What a metric is: one or more columns, computed from the features of real and generated images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gan_bench.errors import unknown
from gan_bench.metrics.extractors.extractor import Features
from gan_bench.registry import Registry

Measure: TypeAlias = Callable[[Features], Mapping[str, float]]
"""From generated images' features to a number a column."""


@dataclass(frozen=True)
class Column:
    """One number that a metric yields: its column's name, what a table calls it, which way is better."""

    name: str
    title: str
    better: Literal["lower", "higher"]


class Metric(ABC):
    """A comparison of generated with real images in an extractor's features."""

    title: str
    source: str
    columns: tuple[Column, ...]
    needs_classes: bool = False
    """Whether it is only computed where the extractor's logits are the data set's own classes."""

    def check(self, feature_dim: int, n_real: int, n_fake: int) -> None:  # noqa: B027 (most need no check)
        """Raise InputError where so few images can't give a number."""

    @abstractmethod
    def against(self, real: Features) -> Measure:
        """Return the measure against `real`; what depends on `real` alone is computed here, once."""


metrics: Registry[Metric] = Registry("metric", "gan_bench.metrics", "gan_bench.metrics")

SPELLINGS = {
    "precision": "prc",
    "recall": "prc",
    "inception-score": "is",
    "isc": "is",
    "modes_covered": "modes",
    "modes_kl": "modes",
    "kid_mean": "kid",
    "inception_score_mean": "is",
}


def resolve_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return registered names, each once, in the order asked for; `precision` and `recall` mean prc.

    Raises InputError for an unknown name.
    """
    found: dict[str, None] = {}
    for asked in names:
        name = SPELLINGS.get(asked.lower(), asked.lower())
        if name not in metrics:
            raise unknown("metric", asked, [*metrics, "precision", "recall"])
        found[name] = None
    return tuple(found)
