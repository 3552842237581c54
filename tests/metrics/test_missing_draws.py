"""Evaluator.missing_draws: the draws that stored scores do not cover."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.evaluators import make_evaluator

from gan_bench.data.base import ImageData
from gan_bench.metrics.evaluator import Evaluator


def test_missing_draws_are_those_without_every_requested_score(
    evaluator: Evaluator, synthetic: ImageData, cache: Path
) -> None:
    images = synthetic.train[:256]
    draws = [evaluator.score(images, epoch=1, step=7, draw=draw) for draw in range(3)]
    existing = [*draws[0], *draws[2]]
    made = make_evaluator(synthetic, cache, draws=3)
    assert made.missing_draws([], 7) == (0, 1, 2)
    assert made.missing_draws(existing, 7) == (1,)
    assert made.missing_draws(existing, 8) == (0, 1, 2), "another step"
    assert made.missing_draws([s for s in existing if s.metric != "kid_std"], 7) == (0, 1, 2)
    best = [s.model_copy(update={"checkpoint": "best"}) for s in existing]
    assert made.missing_draws(best, 7) == (0, 1, 2)
    assert make_evaluator(synthetic, cache, draws=1).missing_draws(existing, 7) == ()
    assert make_evaluator(synthetic, cache, draws=1, metrics=("fid",)).missing_draws(existing, 7) == ()
    assert make_evaluator(synthetic, cache, extractors=("auto", "mnist-cnn")).missing_draws(existing, 7) == (0,)


@pytest.mark.parametrize(
    "setting",
    [{"samples": 200}, {"samples": 300}, {"reference_split": "train"}, {"batch_norm": "batch"}],
)
def test_missing_draws_include_scores_of_other_settings(
    setting: dict[str, object], evaluator: Evaluator, synthetic: ImageData, cache: Path
) -> None:
    existing = evaluator.score(synthetic.train[:256], epoch=1, step=7)
    assert make_evaluator(synthetic, cache, **setting).missing_draws(existing, 7) == (0,)


@pytest.mark.parametrize(
    "field", [{"weights": "ema"}, {"kid_subset_size": 100}, {"n_real": 255}, {"batch_norm": "batch of 9"}]
)
def test_missing_draws_compare_every_setting_of_the_protocol(
    field: dict[str, object], evaluator: Evaluator, synthetic: ImageData
) -> None:
    existing = evaluator.score(synthetic.train[:256], epoch=1, step=7)
    other = existing[0].protocol.model_copy(update=field)
    assert evaluator.missing_draws([s.model_copy(update={"protocol": other}) for s in existing], 7) == (0,)


def test_missing_draws_ignore_hashes_and_versions(evaluator: Evaluator, synthetic: ImageData) -> None:
    existing = evaluator.score(synthetic.train[:256], epoch=1, step=7)
    older = existing[0].protocol.model_copy(update={"torch_fidelity_version": "0", "extractor_sha256": "1" * 64})
    assert evaluator.missing_draws([s.model_copy(update={"protocol": older}) for s in existing], 7) == ()


def test_metrics_of_labels_are_requested_of_conditional_models(evaluator: Evaluator, synthetic: ImageData) -> None:
    images, labels = synthetic.train[:256], synthetic.train_labels[:256]
    without = evaluator.score(images, epoch=1, step=7)
    assert evaluator.missing_draws(without, 7) == ()
    assert evaluator.missing_draws(without, 7, conditional=True) == (0,)
    assert (
        evaluator.missing_draws(evaluator.score(images, epoch=1, step=7, labels=labels), 7, conditional=True) == ()
    )
