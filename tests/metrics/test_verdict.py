"""The verdict on images that were damaged on purpose, and on scores that say little."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_bench.data.dataset import ImageData, resized
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.verdict import judge
from gan_bench.record import Score


def noised(images: Tensor, share: float) -> Tensor:
    noise = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    return (images * (1 - share) + noise * share).round().to(torch.uint8)


def blurred(images: Tensor, size: int) -> Tensor:
    return resized(resized(images, size), 28)


def repeated(images: Tensor, n: int) -> Tensor:
    return images[torch.arange(n) % len(images)]


def damaged(data: ImageData, how: str, n: int) -> Tensor:
    assert data.train_labels is not None
    images, labels = data.train[-5000:], data.train_labels[-5000:]
    first = torch.stack([images[labels == k][0] for k in range(10)])
    return {
        "real": images[:n],
        "faint noise": noised(images[:n], 0.1),
        "slight blur": blurred(images[:n], 20),
        "eight classes": repeated(images[labels < 8], n),
        "one class": repeated(images[labels == 1], n),
        "three classes": repeated(images[labels < 3], n),
        "five classes": repeated(images[labels < 5], n),
        "one image a class": noised(repeated(first, n), 0.02),
        "noise": noised(images[:n], 1.0),
        "much noise": noised(images[:n], 0.75),
        "some blur": blurred(images[:n], 14),
        "much blur": blurred(images[:n], 3),
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
        ("one image a class", "collapsed"),
        ("noise", "undertrained"),
        ("much noise", "undertrained"),
        ("much blur", "collapsed"),
        ("some blur", "ok"),
        ("black", "undertrained"),
    ],
)
def test_known_damage(how: str, verdict: str, mnist_evaluator: Evaluator, mnist: ImageData) -> None:
    scores = mnist_evaluator.score(damaged(mnist, how, mnist_evaluator.n_fake), epoch=1, step=1)
    found, reason = judge(scores)
    assert found == verdict, reason
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


def test_nothing_is_said_where_nothing_was_scored(real: list[Score]) -> None:
    assert judge([]) == ("", "")
    assert judge(only(real, "inception_score_mean", "precision", "recall")) == ("", "")


def test_fid_alone_tells_training_from_noise(real: list[Score]) -> None:
    fid = only(real, "fid")
    assert judge(fid)[0] == "ok"
    assert judge(changed(fid, fid=fid[0].noise or 0))[0] == "undertrained"


def test_images_unlike_any_real_one_are_not_ok(real: list[Score]) -> None:
    """Without a count of classes, and with an FID far from noise, precision and recall still tell."""
    unlike = [s.model_copy(update={"value": 0.0}) for s in real if s.metric in ("precision", "recall")]
    far_from_noise = [s for s in real if s.metric == "fid"]
    assert judge([*far_from_noise, *unlike])[0] == "undertrained"
    assert judge([*far_from_noise, *(s for s in real if s.metric in ("precision", "recall"))])[0] == "ok"


def test_modes_alone_tell_collapse(real: list[Score]) -> None:
    modes = only(real, "modes_covered")
    assert judge(modes)[0] == "ok"
    assert judge(changed(modes, modes_covered=6)) == ("collapsed", "6 of 10 classes are reached")
    assert judge(changed(modes, modes_covered=7))[0] == "ok"


def test_few_classes_and_unreal_images_without_fid_are_not_judged(real: list[Score]) -> None:
    scores = only(real, "modes_covered", "precision", "recall")
    assert judge(changed(scores, modes_covered=1, precision=0.0, recall=0.0)) == ("", "")


def test_the_last_scores_count_and_best_ones_do_not(real: list[Score]) -> None:
    early = [s.model_copy(update={"step": 10, "epoch": 1}) for s in changed(real, modes_covered=1)]
    best = [s.model_copy(update={"checkpoint": "best"}) for s in changed(real, modes_covered=1)]
    assert judge([*early, *real, *best])[0] == "ok"


def test_the_protocol_that_counts_classes_is_asked(real: list[Score]) -> None:
    other = real[0].protocol.model_copy(update={"extractor": "inception"})
    foreign = [s.model_copy(update={"protocol": other}) for s in changed(only(real, "fid"), fid=1e9)]
    assert judge([*foreign, *real])[0] == "ok"
    assert judge(foreign)[0] == "undertrained"


def test_a_number_that_is_not_finite_is_left_aside(real: list[Score]) -> None:
    assert judge(changed(only(real, "fid"), fid=float("nan"))) == ("", "")
