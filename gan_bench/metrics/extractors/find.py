"""Extractors by name: those that are registered, and every labelled data set's own classifier."""

from __future__ import annotations

from gan_bench.data.dataset import datasets
from gan_bench.errors import unknown
from gan_bench.metrics.extractors.dataset_cnn import DatasetCnn
from gan_bench.metrics.extractors.extractor import ExtractorSource, extractors


def find_extractor(name: str) -> ExtractorSource:
    """Return an extractor's source by name; `<data set>-cnn` is there for every labelled data set.

    Raises InputError for any other name.
    """
    if name in extractors:
        return extractors.get(name)
    dataset = name.removesuffix("-cnn")
    if dataset != name and dataset in datasets and datasets.get(dataset).n_classes > 0:
        return DatasetCnn(dataset)
    raise unknown("extractor", name, [*extractors, "auto"])


def default_extractor(dataset: str) -> str:
    """Return the name of the extractor for a data set: its own classifier, or inception where it has no labels."""
    return f"{dataset}-cnn" if datasets.get(dataset).n_classes > 0 else "inception"
