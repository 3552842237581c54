"""PenaltySchedule: the updates of D that a lazy penalty is applied to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

Penalized: TypeAlias = tuple[bool, ...]
"""For each update of D in a step: whether the penalty is applied."""


@dataclass(frozen=True)
class PenaltySchedule:
    """Apply a penalty to every `interval`-th update of D, from the first; never if that is None."""

    interval: int | None
    d_steps: int

    def at(self, step: int) -> Penalized:
        """Return the pattern of a step, counted from 0."""
        if self.interval is None:
            return (False,) * self.d_steps
        first = step * self.d_steps
        return tuple(update % self.interval == 0 for update in range(first, first + self.d_steps))

    def patterns(self) -> list[Penalized]:
        """Return every pattern that occurs, once."""
        interval, d_steps = self.interval, self.d_steps
        if interval is None:
            return [self.at(0)]
        firsts = [*range(0, min(interval, d_steps), math.gcd(interval, d_steps))]
        if interval > d_steps:
            firsts.append(d_steps)  # a step without the penalty
        return [
            tuple(update >= first and (update - first) % interval == 0 for update in range(d_steps))
            for first in firsts
        ]
