"""Verdict on images with known damage, and on inconclusive scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_bench.core.records import Score
from gan_bench.data.base import ImageData, resized
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.reference_images import subset
from gan_bench.metrics.verdict import judge


def add_noise(images: Tensor, share: float) -> Tensor:
    noise = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    return (images * (1 - share) + noise * share).round().to(torch.uint8)


def blur(images: Tensor, size: int) -> Tensor:
    return resized(resized(images, size), 28)


def repeat(images: Tensor, n: int) -> Tensor:
    return images[torch.arange(n) % len(images)]


def damage(data: ImageData, how: str, n: int) -> Tensor:
    """Held-out images that are not in the reference of n images, or training images where they are copied."""
    assert data.test_labels is not None
    held_out = subset(len(data.test), len(data.test))[n:]
    images, labels = data.test[held_out], data.test_labels[held_out]
    train = data.train[-n:]
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
        "duplicated": repeat(images[: n // 2], n),
        "copied": train,
        "60 copied images": repeat(train[:60], n),
        "copied with noise": add_noise(train, 0.02),
        "a fifth copied": torch.cat([train[: n // 5], images[: n - n // 5]]),
        "copied and shifted": train.roll(1, -1),
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
        ("duplicated", "collapsed"),
        ("copied", "memorised"),
        ("60 copied images", "memorised"),
        ("copied with noise", "memorised"),
        ("a fifth copied", "memorised"),
        ("copied and shifted", "memorised"),
    ],
)
@pytest.mark.slow
def test_verdict_on_known_damage(how: str, verdict: str, mnist_evaluator: Evaluator, mnist: ImageData) -> None:
    scores = mnist_evaluator.score(damage(mnist, how, mnist_evaluator.n_fake), epoch=1, step=1)
    result, reason = judge(scores)
    assert result == verdict, reason
    assert reason


@pytest.fixture(scope="module")
def real(evaluator: Evaluator, synthetic: ImageData) -> list[Score]:
    """Scores of real images; as near to training images as held-out ones, although they are training images."""
    scores = evaluator.score(synthetic.train[:256], epoch=2, step=20)
    held_out = {s.metric: s.real_reference or 0.0 for s in scores if s.metric.endswith("copy_share")}
    return changed(scores, **held_out)


def changed(scores: list[Score], **values: float) -> list[Score]:
    return [
        score.model_copy(update={"value": values[score.metric]}) if score.metric in values else score
        for score in scores
    ]


def only(scores: list[Score], *names: str) -> list[Score]:
    return [score for score in scores if score.metric in names]


def test_verdict_is_empty_without_scores_and_inconclusive_without_evidence(real: list[Score]) -> None:
    assert judge([]) == ("", "")
    verdict, reason = judge(only(real, "inception_score_mean", "precision", "recall"))
    assert (verdict, "fid, modes, copies would be needed" in reason) == ("inconclusive", True)


@pytest.mark.parametrize("metric", ["fid", "precision", "modes_covered", "pixel_copy_share"])
def test_no_metric_of_the_evidence_can_be_missing_for_ok(real: list[Score], metric: str) -> None:
    assert judge(real)[0] == "ok"
    assert judge([score for score in real if score.metric != metric])[0] == "inconclusive"


def test_without_an_extractor_of_the_classes_modes_are_no_evidence(real: list[Score]) -> None:
    other = real[0].protocol.model_copy(update={"extractor": "inception"})
    foreign = [s.model_copy(update={"protocol": other}) for s in real if s.metric != "modes_covered"]
    assert judge(foreign)[0] == "ok"


def test_a_reference_that_is_missing_is_no_evidence(real: list[Score]) -> None:
    bare = [s.model_copy(update={"noise_reference": None}) if s.metric == "fid" else s for s in real]
    assert judge(bare)[0] == "inconclusive"


def evaluated(scores: list[Score], fids: dict[int, float]) -> list[Score]:
    """Scores of a training that was evaluated after these epochs, of 10 steps each."""
    by_metric = {score.metric: score for score in scores}
    earlier = [
        by_metric["fid"].model_copy(update={"value": fid, "epoch": epoch, "step": 10 * epoch})
        for epoch, fid in fids.items()
    ]
    end = {"epoch": max(fids), "step": 10 * max(fids)}
    return [*earlier, *(score.model_copy(update=end) for score in scores if score.metric != "fid")]


@pytest.mark.parametrize(
    ("fids", "verdict"),
    [
        ({8: 20.0}, "ok"),
        ({4: 30.0, 6: 20.0, 8: 20.0}, "ok"),
        ({4: 30.0, 6: 24.0, 8: 20.0}, "undertrained"),
        ({4: 20.0, 6: 24.0, 8: 20.0}, "ok"),  # no better than before
        ({4: 30.0, 7: 24.0, 8: 20.0}, "undertrained"),
        ({7: 30.0, 8: 20.0}, "ok"),  # nothing is known of the first three quarters
    ],
)
def test_a_run_that_still_improves_at_its_end_is_undertrained(
    real: list[Score], fids: dict[int, float], verdict: str
) -> None:
    found, reason = judge(evaluated(real, fids))
    assert found == verdict, reason
    if verdict == "undertrained":
        assert reason.endswith("20 after epoch 8")


@pytest.mark.parametrize("space", ["pixel_copy_share", "feature_copy_share"])
def test_copies_are_counted_beyond_those_among_held_out_images(real: list[Score], space: str) -> None:
    def shares(value: float, held_out: float) -> list[Score]:
        update = {"value": value, "real_reference": held_out}
        return [s.model_copy(update=update) if s.metric == space else s for s in real]

    assert judge(shares(0.15, 0.01))[0] == "memorised"
    assert judge(shares(0.09, 0.01))[0] == "ok"
    assert judge(shares(1.0, 1.0))[0] == "ok", "the test images are training images: nothing is known"


def test_fid_alone_shows_undertrained_but_never_ok(real: list[Score]) -> None:
    fid = only(real, "fid")
    assert judge(fid)[0] == "inconclusive"
    assert judge(changed(fid, fid=fid[0].noise_reference or 0))[0] == "undertrained"


def test_zero_precision_and_recall_mean_undertrained(real: list[Score]) -> None:
    """Without modes_covered, and with a FID far from noise, precision and recall decide."""
    unrealistic = [s.model_copy(update={"value": 0.0}) for s in real if s.metric in ("precision", "recall")]
    far_from_noise = [s for s in real if s.metric == "fid"]
    assert judge([*far_from_noise, *unrealistic])[0] == "undertrained"
    assert judge([*far_from_noise, *(s for s in real if s.metric in ("precision", "recall"))])[0] != "undertrained"


def test_modes_covered_alone_detects_collapse(real: list[Score]) -> None:
    modes = only(real, "modes_covered")
    assert judge(modes)[0] == "inconclusive"
    assert judge(changed(modes, modes_covered=6)) == ("collapsed", "6 of 10 classes are covered")
    assert judge(changed(modes, modes_covered=7))[0] == "inconclusive"
    assert judge(changed(real, modes_covered=6))[0] == "collapsed"
    assert judge(changed(real, modes_covered=7))[0] == "ok"


def test_duplicates_alone_detect_collapse(real: list[Score]) -> None:
    duplicates = only(real, "duplicate_share")
    assert judge(changed(duplicates, duplicate_share=0.5)) == (
        "collapsed",
        "50.0% of the images repeat an earlier one",
    )
    assert judge(changed(duplicates, duplicate_share=0.05))[0] == "inconclusive"
    assert judge(changed(real, duplicate_share=0.05))[0] == "ok"


def test_few_classes_and_zero_precision_without_fid_are_inconclusive(real: list[Score]) -> None:
    scores = only(real, "modes_covered", "precision", "recall")
    assert judge(changed(scores, modes_covered=1, precision=0.0, recall=0.02))[0] == "inconclusive"


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
