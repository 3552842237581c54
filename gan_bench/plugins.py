"""Everything a plugin imports: base classes, registries and the types in their signatures."""

from __future__ import annotations

from gan_bench.core.errors import InputError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.frozen import Frozen
from gan_bench.core.training_spec import Recipe
from gan_bench.data.base import Dataset, ImageData, datasets
from gan_bench.losses.base import Loss, losses
from gan_bench.metrics.base import Column, LabelFunction, LabelMetric, Metric, MetricFunction, metrics
from gan_bench.metrics.extractors.base import Extractor, ExtractorContext, ExtractorSource, Features, extractors
from gan_bench.models.base import ImageShape, Model, models
from gan_bench.models.conditional import ClassEmbedding, LabelledInput, Projection
from gan_bench.models.dropout import Dropout
from gan_bench.penalties.base import Discriminator, Penalty, Rng, input_gradients, penalties
from gan_bench.report.plots.base import plot, plots
from gan_bench.report.report_data import ReportData
from gan_bench.runner.executors.base import Executor, executors

__all__ = [
    "ClassEmbedding",
    "Column",
    "Dataset",
    "Discriminator",
    "Dropout",
    "Executor",
    "Extractor",
    "ExtractorContext",
    "ExtractorSource",
    "Features",
    "Frozen",
    "ImageData",
    "ImageShape",
    "InputError",
    "LabelFunction",
    "LabelMetric",
    "LabelledInput",
    "Loss",
    "Metric",
    "MetricFunction",
    "Model",
    "Notice",
    "OnEvent",
    "Penalty",
    "Projection",
    "Recipe",
    "ReportData",
    "Rng",
    "datasets",
    "executors",
    "extractors",
    "input_gradients",
    "losses",
    "metrics",
    "models",
    "penalties",
    "plot",
    "plots",
]
