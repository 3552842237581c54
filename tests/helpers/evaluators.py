"""Evaluators of small data sets on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from helpers.events import notices_into

from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import ignore_events
from gan_bench.core.records import Score
from gan_bench.data.base import ImageData
from gan_bench.metrics.evaluator import Evaluator


def make_evaluator(data: ImageData, cache: Path, notices: list[str] | None = None, **values: object) -> Evaluator:
    """An evaluator of 256 images with the data set's own extractor, or with other values of the spec."""
    spec = EvaluationSpec(**{"extractors": ("auto",), "samples": 256, **values})  # type: ignore[arg-type]
    on_event = ignore_events if notices is None else notices_into(notices)
    return Evaluator(data, spec, device=torch.device("cpu"), cache_dir=cache, offline=True, on_event=on_event)


def values_of(scores: Sequence[Score]) -> dict[str, float]:
    """The values of scores by column."""
    return {score.metric: score.value for score in scores}
