"""The verdict on a run that finished: collapsed, undertrained or ok, read off its scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_bench.record import Score, Verdict

CLASSES = 0.7
"""Fewer of the classes that real data reaches than this is a collapse."""
RECALL = 0.02
"""So few real images near a generated one, where those are TYPICAL and CLEAR, is a collapse within the classes."""
TYPICAL = 1.0
"""Precision, as a share of what real images get, from which images are more typical than real ones are."""
CLEAR = 0.97
"""Inception score likewise: blurred images, whose recall is nought as well, get less."""
REALISTIC = 0.5
"""Precision, as a share of what real images get, from which the images count as looking real."""
STRANGE = 0.05
"""Precision, as a share of what real images get, below which, with as little recall, nothing looks real."""
NEAR_NOISE = 0.75
"""Position of FID on a logarithmic scale, 0 at real images and 1 at noise, beyond which a run is undertrained."""


def judge(scores: Sequence[Score]) -> tuple[Verdict, str]:
    """Return the verdict on the last scores of a run and one sentence of reason; ("", "") where they say nothing.

    Few classes or no recall mean a collapse only where the images look real or are at least far from noise: an
    untrained generator's noise, too, falls into one class. Thresholds were set on real images damaged on purpose:
    one to seven classes only, one image a class, blur of 1 to 4 pixels, 10% to 75% of noise. Blur so strong that
    every image falls into one class counts as a collapse, as does one image over and over. Judged under the
    protocol that counts classes, else the first one. Scores of a `best` checkpoint are left aside.
    """
    found = _latest(scores)
    covered, recall, precision = (found.get(name) for name in ("modes_covered", "recall", "precision"))
    position = _position(found.get("fid"))
    if position is None and covered is None:
        return "", ""
    real = _share(precision)
    looks_real = real is not None and real >= REALISTIC
    near_noise = position is not None and position > NEAR_NOISE
    nearness = _nearness(found["fid"], position) if position is not None else ""
    classes = f"{covered.value:.0f} of {covered.floor or 0:.0f} classes are reached" if covered else ""
    reached = _share(covered)
    if reached is not None and reached < CLASSES and (looks_real or not near_noise):
        if position is None and not looks_real and precision is not None:
            return "", ""  # few classes and unreal images: a collapse or noise, which FID would tell apart
        return "collapsed", classes
    clear = _share(found.get("inception_score_mean"))
    few_kinds = recall is not None and recall.value < RECALL and (real or 0) >= TYPICAL and (clear or 0) >= CLEAR
    if recall is not None and few_kinds:
        return "collapsed", f"the images look real but are near only {recall.value:.1%} of the real ones"
    if near_noise:
        return "undertrained", nearness
    if real is not None and real < STRANGE and recall is not None and recall.value < RECALL:
        return "undertrained", f"{real:.1%} of the images lie near real ones, of what real images would"
    return "ok", " and ".join(filter(None, [classes, nearness]))


def _latest(scores: Sequence[Score]) -> dict[str, Score]:
    """Return the last epoch's scores of one protocol by column: of the one that counts classes, if any does."""
    last = [score for score in scores if score.checkpoint == "last" and math.isfinite(score.value)]
    newest = max((score.step for score in last), default=0)
    last = [score for score in last if score.step == newest]
    counting = [score.protocol for score in last if score.metric == "modes_covered"]
    protocol = next(iter([*counting, *(score.protocol for score in last)]), None)
    return {score.metric: score for score in last if score.protocol == protocol}


def _position(fid: Score | None) -> float | None:
    """Return where FID lies between real images (0) and noise (1) on a logarithmic scale."""
    if fid is None or fid.floor is None or fid.noise is None or fid.noise <= max(fid.floor, 0.0):
        return None
    least = fid.noise * 1e-6  # identical images may get 0, or less by rounding
    floor, value = max(fid.floor, least), max(fid.value, least)
    return math.log(value / floor) / math.log(fid.noise / floor)


def _share(score: Score | None) -> float | None:
    """Return a score as a share of what real images get."""
    return score.value / score.floor if score is not None and score.floor else None


def _nearness(fid: Score, position: float) -> str:
    return (
        f"FID {fid.value:.3g} lies {max(0.0, position):.0%} of the way from real images ({fid.floor:.3g}) "
        f"to noise ({fid.noise:.3g}) on a log scale"
    )
