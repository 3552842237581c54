"""Verdict on images with known damage, and on inconclusive scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_bench.core.records import Score
from gan_bench.data.base import ImageData, resized
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.verdict import judge


def add_noise(images: Tensor, share: float) -> Tensor:
    noise = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    return (images * (1 - share) + noise * share).round().to(torch.uint8)


def blur(images: Tensor, size: int) -> Tensor:
    return resized(resized(images, size), 28)


def repeat(images: Tensor, n: int) -> Tensor:
    return images[torch.arange(n) % len(images)]


def damage(data: ImageData, how: str, n: int) -> Tensor:
    assert data.train_labels is not None
    images, labels = data.train[-5000:], data.train_labels[-5000:]
    first = torch.stack([images[labels == k][0] for k in range(10)])
    return {
        "real": images[:n],
        "faint noise": add_noise(images[:n], 0.1),
        "slight blur": blur(images[:n], 20),
        "eight classes": repeat(images[labels < 8], n),
        "one class": repeat(images[labels == 1], n),
        "three classes": repeat(images[labels < 3], n),
        "five classes": repeat(images[labels < 5], n),
        "one image per class": add_noise(repeat(first, n), 0.02),
        "noise": add_noise(images[:n], 1.0),
        "much noise": add_noise(images[:n], 0.75),
        "some blur": blur(images[:n], 14),
        "much blur": blur(images[:n], 3),
        "black": torch.zeros_like(images[:n]),
    }[how]


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ("real", "ok"),
        ("faint noise", "ok"),
        ("slight blur", "ok"),
        ("eight classes", "ok"),
        ("one class", "collapsed"),
        ("three classes", "collapsed"),
        ("five classes", "collapsed"),
        ("one image per class", "collapsed"),
        ("noise", "undertrained"),
        ("much noise", "undertrained"),
        ("much blur", "collapsed"),
        ("some blur", "ok"),
        ("black", "undertrained"),
    ],
)
def test_verdict_on_known_damage(how: str, verdict: str, mnist_evaluator: Evaluator, mnist: ImageData) -> None:
    scores = mnist_evaluator.score(damage(mnist, how, mnist_evaluator.n_fake), epoch=1, step=1)
    result, reason = judge(scores)
    assert result == verdict, reason
    assert reason


@pytest.fixture(scope="module")
def real(evaluator: Evaluator, synthetic: ImageData) -> list[Score]:
    return evaluator.score(synthetic.train[:256], epoch=2, step=20)


def changed(scores: list[Score], **values: float) -> list[Score]:
    return [
        score.model_copy(update={"value": values[score.metric]}) if score.metric in values else score
        for score in scores
    ]


def only(scores: list[Score], *names: str) -> list[Score]:
    return [score for score in scores if score.metric in names]


def test_verdict_is_empty_without_conclusive_scores(real: list[Score]) -> None:
    assert judge([]) == ("", "")
    assert judge(only(real, "inception_score_mean", "precision", "recall")) == ("", "")


def test_fid_alone_separates_trained_from_undertrained(real: list[Score]) -> None:
    fid = only(real, "fid")
    assert judge(fid)[0] == "ok"
    assert judge(changed(fid, fid=fid[0].noise_reference or 0))[0] == "undertrained"


def test_zero_precision_and_recall_mean_undertrained(real: list[Score]) -> None:
    """Without modes_covered, and with a FID far from noise, precision and recall decide."""
    unrealistic = [s.model_copy(update={"value": 0.0}) for s in real if s.metric in ("precision", "recall")]
    far_from_noise = [s for s in real if s.metric == "fid"]
    assert judge([*far_from_noise, *unrealistic])[0] == "undertrained"
    assert judge([*far_from_noise, *(s for s in real if s.metric in ("precision", "recall"))])[0] == "ok"


def test_modes_covered_alone_detects_collapse(real: list[Score]) -> None:
    modes = only(real, "modes_covered")
    assert judge(modes)[0] == "ok"
    assert judge(changed(modes, modes_covered=6)) == ("collapsed", "6 of 10 classes are covered")
    assert judge(changed(modes, modes_covered=7))[0] == "ok"


def test_few_classes_and_zero_precision_without_fid_are_inconclusive(real: list[Score]) -> None:
    scores = only(real, "modes_covered", "precision", "recall")
    assert judge(changed(scores, modes_covered=1, precision=0.0, recall=0.0)) == ("", "")


def test_verdict_uses_the_last_step_of_the_last_checkpoint(real: list[Score]) -> None:
    early = [s.model_copy(update={"step": 10, "epoch": 1}) for s in changed(real, modes_covered=1)]
    best = [s.model_copy(update={"checkpoint": "best"}) for s in changed(real, modes_covered=1)]
    assert judge([*early, *real, *best])[0] == "ok"


def test_verdict_uses_draw_0(real: list[Score]) -> None:
    draw_1 = [s.model_copy(update={"draw": 1}) for s in changed(real, modes_covered=1)]
    assert judge([*draw_1, *real]) == judge([*real, *draw_1]) == judge(real)
    assert judge(draw_1) == ("", "")


def test_verdict_uses_the_protocol_that_counts_classes(real: list[Score]) -> None:
    other = real[0].protocol.model_copy(update={"extractor": "inception"})
    foreign = [s.model_copy(update={"protocol": other}) for s in changed(only(real, "fid"), fid=1e9)]
    assert judge([*foreign, *real])[0] == "ok"
    assert judge(foreign)[0] == "undertrained"


def test_verdict_ignores_scores_that_are_not_finite(real: list[Score]) -> None:
    assert judge(changed(only(real, "fid"), fid=float("nan"))) == ("", "")
