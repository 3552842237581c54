"""Lookup of extractors by name: registered ones, and the classifier of every labelled data set."""

from __future__ import annotations

from gan_bench.core.errors import unknown
from gan_bench.data.base import datasets
from gan_bench.metrics.extractors.base import ExtractorSource, extractors
from gan_bench.metrics.extractors.dataset_cnn import DatasetCnn


def find_extractor(name: str) -> ExtractorSource:
    """Return an extractor's source by name; `<data set>-cnn` exists for every labelled data set.

    Raises InputError for any other name.
    """
    if name in extractors:
        return extractors.get(name)
    dataset = name.removesuffix("-cnn")
    if dataset != name and dataset in datasets and datasets.get(dataset).n_classes > 0:
        return DatasetCnn(dataset)
    raise unknown("extractor", name, [*extractors, "auto"])


def default_extractor(dataset: str) -> str:
    """Return the default extractor of a data set: its own classifier, or inception where it has no labels."""
    return f"{dataset}-cnn" if datasets.get(dataset).n_classes > 0 else "inception"
