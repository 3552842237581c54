"""Verdict on a finished run from its scores: ok, collapsed or undertrained."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_bench.core.records import Score, Verdict

MIN_CLASSES = 0.7
"""Share of the classes in real data; a run that covers fewer is collapsed."""
MIN_RECALL = 0.02
"""Recall below which a run is collapsed within its classes, given TYPICAL_PRECISION and SHARP_SCORE."""
TYPICAL_PRECISION = 1.0
"""Precision relative to real images from which generated images are more typical than real ones."""
SHARP_SCORE = 0.97
"""Inception score relative to real images; blurred images, whose recall is 0 as well, score less."""
REALISTIC_PRECISION = 0.5
"""Precision relative to real images from which images count as realistic."""
MIN_PRECISION = 0.05
"""Precision relative to real images below which, with recall below MIN_RECALL, no image is realistic."""
NEAR_NOISE = 0.75
"""Position of FID on a log scale, 0 at real images and 1 at noise, above which a run is undertrained."""


def judge(scores: Sequence[Score]) -> tuple[Verdict, str]:
    """Return the verdict on a run and one sentence of reason; ("", "") where its scores are not conclusive.

    Uses draw 0 of the last checkpoint at its last step, under the first protocol that counts classes, else under
    the first one. Scores of a `best` checkpoint are ignored.

    Few classes or no recall mean a collapse only where the images are realistic or at least far from noise: the
    noise of an untrained generator falls into one class, too. Thresholds were set on real images with known
    damage: one to seven classes, one image per class, blur of 1 to 4 pixels, 10% to 75% noise. Blur so strong that
    every image falls into one class counts as a collapse, as does one repeated image.
    """
    columns = _last_scores(scores)
    covered, recall, precision = (columns.get(name) for name in ("modes_covered", "recall", "precision"))
    position = _position(columns.get("fid"))
    if position is None and covered is None:
        return "", ""
    real = _relative(precision)
    realistic = real is not None and real >= REALISTIC_PRECISION
    near_noise = position is not None and position > NEAR_NOISE
    distance = _distance(columns["fid"], position) if position is not None else ""
    classes = f"{covered.value:.0f} of {covered.real_reference or 0:.0f} classes are covered" if covered else ""
    share = _relative(covered)
    if share is not None and share < MIN_CLASSES and (realistic or not near_noise):
        if position is None and not realistic and precision is not None:
            return "", ""  # few classes and unrealistic images: collapse or noise, which only FID tells apart
        return "collapsed", classes
    sharpness = _relative(columns.get("inception_score_mean"))
    typical = (real or 0) >= TYPICAL_PRECISION and (sharpness or 0) >= SHARP_SCORE
    if recall is not None and recall.value < MIN_RECALL and typical:
        return "collapsed", f"the images are realistic, but only {recall.value:.1%} of the real ones are near one"
    if near_noise:
        return "undertrained", distance
    if real is not None and real < MIN_PRECISION and recall is not None and recall.value < MIN_RECALL:
        return "undertrained", f"precision is {real:.1%} of the precision of real images"
    return "ok", " and ".join(filter(None, [classes, distance]))


def _last_scores(scores: Sequence[Score]) -> dict[str, Score]:
    """Return the last step's scores by column, of one protocol: the first that counts classes, else the first."""
    last = [s for s in scores if s.checkpoint == "last" and s.draw == 0 and math.isfinite(s.value)]
    newest = max((score.step for score in last), default=0)
    last = [score for score in last if score.step == newest]
    counting = [score.protocol for score in last if score.metric == "modes_covered"]
    protocol = next(iter([*counting, *(score.protocol for score in last)]), None)
    return {score.metric: score for score in last if score.protocol == protocol}


def _position(fid: Score | None) -> float | None:
    """Return the position of FID between real images (0) and noise (1) on a log scale."""
    if fid is None or fid.real_reference is None or fid.noise_reference is None:
        return None
    if fid.noise_reference <= max(fid.real_reference, 0.0):
        return None
    minimum = fid.noise_reference * 1e-6  # identical images may get 0, or less by rounding
    reference, value = max(fid.real_reference, minimum), max(fid.value, minimum)
    return math.log(value / reference) / math.log(fid.noise_reference / reference)


def _relative(score: Score | None) -> float | None:
    """Return a score relative to the real-data reference."""
    return score.value / score.real_reference if score is not None and score.real_reference else None


def _distance(fid: Score, position: float) -> str:
    return (
        f"FID {fid.value:.3g} is {max(0.0, position):.0%} of the distance from real images "
        f"({fid.real_reference:.3g}) to noise ({fid.noise_reference:.3g}) on a log scale"
    )
