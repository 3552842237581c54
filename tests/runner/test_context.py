"""The runtime context of a run: resolved options, cached data and evaluators."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import torch
from helpers.whole_runs import Trial

from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import ignore_events

Make = Callable[..., Trial]


def test_options_of_a_plan_are_resolved(trial: Make) -> None:
    """Worker processes may have another working directory, and a scheduler's device its number."""
    context = trial().plan().context
    assert context.options.device == "cpu"
    assert context.options.out.is_absolute()
    assert context.data_root.is_absolute()
    assert context.device == torch.device("cpu")


def test_a_context_can_be_sent_to_another_process(trial: Make) -> None:
    context = trial().plan().context
    assert pickle.loads(pickle.dumps(context)) == context


def test_data_and_evaluators_are_cached_within_a_process(trial: Make) -> None:
    plan = trial().plan()
    context, (spec,) = plan.context, plan.specs
    assert context.data("synthetic", ignore_events) is context.data("synthetic", ignore_events)
    first = context.evaluator("synthetic", ignore_events)
    assert context.evaluator("synthetic", ignore_events) is first
    other = replace(context, evaluation=EvaluationSpec(metrics=("kid",), samples=160))
    assert other.evaluator("synthetic", ignore_events) is not first
    batch = context.training_set(spec, ignore_events)
    assert (batch.images.dtype, tuple(batch.images.shape)) == (torch.uint8, (512, 1, 28, 28))
    assert batch.labels is not None
    assert len(batch.labels) == 512
