"""Reference splits, and the images of both references."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from helpers.evaluators import make_evaluator

from gan_bench.data.base import ImageData
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.reference_images import subset

HELD_OUT = ("duplicate_share", "pixel_copy_share", "feature_copy_share")
"""Metrics whose real-data reference is of held-out images."""


def test_image_counts_are_limited_by_the_data_set(synthetic: ImageData, tmp_path: Path) -> None:
    made = make_evaluator(synthetic, tmp_path, samples=10_000)
    assert (made.n_fake, made.n_real) == (512, 256)
    made = make_evaluator(synthetic, tmp_path, samples=10_000, reference_split="train")
    assert (made.n_fake, made.n_real) == (512, 512)
    made = make_evaluator(synthetic, tmp_path, samples=200)
    assert (made.n_fake, made.n_real) == (200, 200)


def test_train_reference_split_compares_with_training_images(
    evaluator: Evaluator, synthetic: ImageData, cache: Path
) -> None:
    """The real-data reference is the score of the test images, of which there are fewer."""
    made = make_evaluator(synthetic, cache, samples=512, reference_split="train")
    calls: list[tuple[int, int]] = []
    made.prepare(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (512 + 256 + 512, 512 + 256 + 512)
    copies = {s.metric: s for s in made.score(synthetic.train, epoch=1, step=1)}
    assert abs(copies["fid"].value) < 1e-3
    assert copies["precision"].value == copies["recall"].value == 1.0
    assert all(score.real_reference is not None for score in copies.values())
    tests = make_evaluator(synthetic, cache, samples=256, reference_split="train")
    for score in tests.score(synthetic.test[subset(256, 256)], epoch=1, step=1):
        assert score.protocol.reference_split == "train"
        if score.metric not in HELD_OUT:
            assert score.value == score.real_reference


def test_real_reference_is_none_where_the_other_split_is_too_small_for_a_metric(
    evaluator: Evaluator, synthetic: ImageData, cache: Path
) -> None:
    small = dataclasses.replace(synthetic, test=synthetic.test[:60], sha256="0" * 64)
    made = make_evaluator(small, cache, extractors=("mnist-cnn",), metrics=("fid", "kid"), reference_split="train")
    for again in (
        made,
        make_evaluator(small, cache, extractors=("mnist-cnn",), metrics=("kid", "fid"), reference_split="train"),
    ):
        scores = {s.metric: s for s in again.score(synthetic.train[:256], epoch=1, step=1)}
        assert scores["fid"].real_reference is None, "60 images have a singular covariance of 128 features"
        assert scores["fid"].noise_reference is not None
        assert scores["kid_mean"].real_reference is not None


def test_real_subset_is_random_and_fixed() -> None:
    """The halves of MNIST's test split differ in difficulty: the first images are not representative."""
    rows = subset(1000, 300)
    assert torch.equal(rows, subset(1000, 300))
    assert len(rows.unique()) == 300
    assert rows.max() >= 900
