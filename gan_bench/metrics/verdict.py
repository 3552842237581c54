"""Verdict on a finished run from its scores: ok, memorised, collapsed, undertrained or inconclusive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gan_bench.core.records import Score, Verdict

MIN_COPIES = 0.1
"""Share of generated images that are as near to a training image as the nearest 1% of held-out images are, beyond
the share of other held-out ones."""
MIN_DUPLICATES = 0.1
"""Share of generated images that equal an earlier one, beyond the share of held-out ones."""
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
IMPROVEMENT = 0.15
"""Fall of FID after LATE of the steps, relative to the best before, from which a run was still improving."""
LATE = 0.75
COPIES = {"pixel_copy_share": "pixels", "feature_copy_share": "features"}
EVIDENCE = {"fid": "fid", "precision": "prc", "modes_covered": "modes", "pixel_copy_share": "copies"}
"""Columns without which a run can't be ok, and the metrics that compute them."""


def judge(scores: Sequence[Score]) -> tuple[Verdict, str]:
    """Return the verdict on a run and one sentence of reason; ("", "") without scores.

    Uses draw 0 of the last checkpoint at its last step, under the first protocol that counts classes, else under
    the first one; and the FID of earlier steps. Scores of a `best` checkpoint are ignored.

    A run is `ok` only if every way to be wrong was looked at: it is `inconclusive` where a metric is missing.
    Thresholds were set on real images with known damage: see docs/scores.md.
    """
    history = _of_one_protocol(scores)
    if not history:
        return "", ""
    newest = max(score.step for score in history)
    found = Evidence({score.metric: score for score in history if score.step == newest})
    verdicts: tuple[tuple[Verdict, str], ...] = (
        ("memorised", found.copies()),
        ("collapsed", found.duplicates() or found.few_classes() or found.no_variety()),
        ("undertrained", found.near_noise() or found.no_realistic_image() or _still_improving(history)),
        ("inconclusive", found.missing()),
    )
    return next((verdict for verdict in verdicts if verdict[1]), ("ok", found.summary()))


@dataclass(frozen=True)
class Evidence:
    """The scores of one step and protocol by column; each method returns the reason for a verdict, or nothing."""

    columns: dict[str, Score]

    def copies(self) -> str:
        """Return the share of copies of training images, in the space where there are most."""
        shares = {name: _excess(self.columns.get(name)) for name in COPIES}
        name = max(shares, key=lambda name: shares[name])
        if shares[name] < MIN_COPIES:
            return ""
        share, reference = self.columns[name].value, self.columns[name].real_reference or 0.0
        return (
            f"{share:.1%} of the images are as near to a training image, in {COPIES[name]}, as {reference:.1%} of "
            "held-out images are"
        )

    def duplicates(self) -> str:
        """Return the share of images that repeat an earlier one; noise of an untrained generator may, too."""
        score = self.columns.get("duplicate_share")
        if score is None or _excess(score) < MIN_DUPLICATES or not self._is_image_like:
            return ""
        return f"{score.value:.1%} of the images repeat an earlier one"

    def few_classes(self) -> str:
        """Return the number of classes, where it is low and images are realistic or at least far from noise.

        The noise of an untrained generator falls into one class, too: without FID, unrealistic images of few
        classes are no collapse. Blur so strong that every image falls into one class counts as one.
        """
        share = self._relative("modes_covered")
        if share is None or share >= MIN_CLASSES or not self._is_image_like:
            return ""
        is_noise_possible = self._position is None and "precision" in self.columns and not self._is_realistic
        return "" if is_noise_possible else self._classes

    def no_variety(self) -> str:
        """Return the recall, where it is low although the images are realistic and sharp."""
        precision, sharpness = self._relative("precision"), self._relative("inception_score_mean")
        typical = (precision or 0) >= TYPICAL_PRECISION and (sharpness or 0) >= SHARP_SCORE
        recall = self.columns.get("recall")
        if recall is None or recall.value >= MIN_RECALL or not typical:
            return ""
        return f"the images are realistic, but only {recall.value:.1%} of the real ones are near one"

    def near_noise(self) -> str:
        """Return the position of FID, where it is near that of noise."""
        return self._distance if self._is_near_noise else ""

    def no_realistic_image(self) -> str:
        """Return the precision, where both precision and recall are about 0."""
        precision, recall = self._relative("precision"), self.columns.get("recall")
        if precision is None or precision >= MIN_PRECISION or recall is None or recall.value >= MIN_RECALL:
            return ""
        return f"precision is {precision:.1%} of the precision of real images"

    def missing(self) -> str:
        """Return the metrics without which a collapse, copies or lack of training can't be excluded."""
        known = {name for name in EVIDENCE if name in self.columns}
        if self._position is None:
            known.discard("fid")
        own = any(s.protocol.extractor == f"{s.protocol.dataset}-cnn" for s in self.columns.values())
        needed = [name for name in EVIDENCE if own or name != "modes_covered"]
        metrics = [EVIDENCE[name] for name in needed if name not in known]
        if not metrics:
            return ""
        return f"nothing speaks against it, but {', '.join(metrics)} would be needed to tell: see --metrics"

    def summary(self) -> str:
        """Return the number of classes and the position of FID."""
        return " and ".join(filter(None, [self._classes, self._distance]))

    @property
    def _position(self) -> float | None:
        return _position(self.columns.get("fid"))

    @property
    def _is_near_noise(self) -> bool:
        return self._position is not None and self._position > NEAR_NOISE

    @property
    def _is_realistic(self) -> bool:
        return (self._relative("precision") or 0.0) >= REALISTIC_PRECISION

    @property
    def _is_image_like(self) -> bool:
        return self._is_realistic or not self._is_near_noise

    @property
    def _classes(self) -> str:
        covered = self.columns.get("modes_covered")
        if covered is None:
            return ""
        return f"{covered.value:.0f} of {covered.real_reference or 0:.0f} classes are covered"

    @property
    def _distance(self) -> str:
        fid, position = self.columns.get("fid"), self._position
        if fid is None or position is None:
            return ""
        return (
            f"FID {fid.value:.3g} is {max(0.0, position):.0%} of the distance from real images "
            f"({fid.real_reference:.3g}) to noise ({fid.noise_reference:.3g}) on a log scale"
        )

    def _relative(self, column: str) -> float | None:
        """Return a score relative to the real-data reference."""
        score = self.columns.get(column)
        return score.value / score.real_reference if score is not None and score.real_reference else None


def _of_one_protocol(scores: Sequence[Score]) -> list[Score]:
    """Return the scores of every step under one protocol: at the last step, the first one that counts classes."""
    own = [s for s in scores if s.checkpoint == "last" and s.draw == 0 and math.isfinite(s.value)]
    newest = max((score.step for score in own), default=0)
    last = [score for score in own if score.step == newest]
    counting = [score.protocol for score in last if score.metric == "modes_covered"]
    protocol = next(iter([*counting, *(score.protocol for score in last)]), None)
    return [score for score in own if score.protocol == protocol]


def _still_improving(history: Sequence[Score]) -> str:
    """Return how far FID fell after LATE of the steps, where it did; nothing without earlier evaluations."""
    fids = {score.step: score for score in history if score.metric == "fid"}
    newest = max(score.step for score in history)
    early = [score for step, score in fids.items() if step <= LATE * newest]
    if newest not in fids or not early:
        return ""
    best, last = min(early, key=lambda score: score.value), fids[newest]
    if best.value <= 0 or last.value > (1 - IMPROVEMENT) * best.value:
        return ""
    before, after = (f"{score.value:.3g} after epoch {score.epoch}" for score in (best, last))
    return f"FID was still falling: {before}, {after}"


def _position(fid: Score | None) -> float | None:
    """Return the position of FID between real images (0) and noise (1) on a log scale."""
    if fid is None or fid.real_reference is None or fid.noise_reference is None:
        return None
    if fid.noise_reference <= max(fid.real_reference, 0.0):
        return None
    minimum = fid.noise_reference * 1e-6  # identical images may get 0, or less by rounding
    reference, value = max(fid.real_reference, minimum), max(fid.value, minimum)
    return math.log(value / reference) / math.log(fid.noise_reference / reference)


def _excess(score: Score | None) -> float:
    """Return a share beyond that of held-out images; 0 where it was not computed."""
    return score.value - (score.real_reference or 0.0) if score is not None else 0.0
