"""Divergence: the first step at which a lane's losses or weights leave any sane range."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gan_bench.training.state import NetState

MAX_MAGNITUDE = 1e6
"""Bound of a step's losses and of weights: a million times the scale at which both start. float32 holds no
difference below 0.06 between values above it. The largest losses measured are in docs/scores.md."""
CHECK_STEPS = 50
"""Steps between two looks of the host at the device, so that nothing waits for it in between."""
LOSSES = ("d_loss", "g_loss")


class DivergenceWatch:
    """Counts the sane steps of every lane, on the device and in place, so that a step can be captured."""

    def __init__(self, lanes: int, device: torch.device, dtype: torch.dtype) -> None:
        self._start = 0
        self._is_sane = torch.ones(lanes, dtype=torch.bool, device=device)
        self._sane_steps = torch.zeros(lanes, dtype=torch.int64, device=device)
        self._first = torch.zeros(len(LOSSES), lanes, dtype=dtype, device=device)
        """Losses of each lane's last sane step, then of the first one that is not."""

    def reset(self, step: int) -> None:
        """Start counting at `step`."""
        self._start = step
        self._is_sane.fill_(True)
        self._sane_steps.zero_()

    def add(self, measures: Tensor) -> None:
        """Add a step's MEASURES [4, lanes], whose first two rows are the losses."""
        losses = measures[: len(LOSSES)]
        self._first.copy_(torch.where(self._is_sane, losses, self._first))
        self._is_sane &= (losses.abs() <= MAX_MAGNITUDE).all(0)  # false for NaN
        self._sane_steps += self._is_sane

    def reasons(self, g: NetState, d: NetState, step: int) -> Mapping[int, str]:
        """Return why each diverged lane did, by lane; waits for the device. `step` steps are made."""
        sane = self._is_sane.tolist()
        weights = {name: _largest(net) for name, net in (("G", g), ("D", d)) if net.params}
        found: dict[int, str] = {}
        for lane, is_sane in enumerate(sane):
            if not is_sane:
                losses = zip(LOSSES, self._first[:, lane].tolist(), strict=True)
                faults = [f"{name} is {value:.3g}" for name, value in losses if not abs(value) <= MAX_MAGNITUDE]
                found[lane] = f"{' and '.join(faults)} at step {self._start + int(self._sane_steps[lane]) + 1}"
                continue
            faults = [
                f"a weight of {net} is {values[lane]:.3g}"
                for net, values in weights.items()
                if not values[lane] <= MAX_MAGNITUDE
            ]
            if faults:
                found[lane] = f"{' and '.join(faults)} by step {step}"
        return found


def _largest(net: NetState) -> list[float]:
    """Return the magnitude of each lane's largest weight, or NaN where one is NaN."""
    each = torch.stack([value.reshape(len(value), -1).abs().amax(1) for value in net.params.values()])
    largest: list[float] = each.amax(0).tolist()
    return largest
