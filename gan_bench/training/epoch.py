"""Epoch: each lane's permutation of the training set, the position in it, and sums of the steps' measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_bench.training.divergence import DivergenceWatch
from gan_bench.training.rng import LaneRng
from gan_bench.training.step import MEASURES


class Epoch:
    """The current epoch of all lanes: opened, trained and closed, one after another; none is open at first.

    The tensors that a step reads and writes stay in place on the device, so that a step can be captured. An epoch
    has `images` // (`batch_size` * `d_steps`) steps, or the rest of `total_steps`.
    """

    def __init__(
        self,
        streams: Sequence[LaneRng],
        images: int,
        batch_size: int,
        d_steps: int,
        total_steps: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._streams, self._total_steps = streams, total_steps
        self._images_per_step = batch_size * d_steps
        self.is_open = False
        self.position = 0
        """Steps of the epoch made so far."""
        self.seconds = 0.0
        self._start = 0
        self._before = [lane["data"].get_state() for lane in streams]
        """Each lane's data stream before its permutation: the state is a thousand times smaller."""
        self._order = torch.zeros(len(streams), images, dtype=torch.int64, device=device)
        self._cursor = torch.zeros((), dtype=torch.int64, device=device)
        self._offsets = torch.split(torch.arange(self._images_per_step, device=device), batch_size)
        self._sums = torch.zeros(len(MEASURES), len(streams), device=device, dtype=dtype)
        self.watch = DivergenceWatch(len(streams), device, dtype)

    @property
    def count(self) -> int:
        """Number of steps in the epoch."""
        return min(self._order.shape[1] // self._images_per_step, self._total_steps - self._start)

    @property
    def is_trained(self) -> bool:
        """Whether the epoch is open and all its steps are made."""
        return self.is_open and self.position >= self.count

    def open(self, start: int) -> None:
        """Start an epoch at step `start`: every lane draws its permutation."""
        self.is_open, self._start, self.position, self.seconds = True, start, 0, 0.0
        self._before = [lane["data"].get_state() for lane in self._streams]
        for lane in range(len(self._streams)):
            self._permute(lane)
        self._sums.zero_()
        self.watch.reset(start)
        self.rewind()

    def rewind(self) -> None:
        """Move the cursor to the start of the permutations."""
        self._cursor.zero_()

    def batch_index(self, d_step: int = 0) -> Tensor:
        """Return the indices of the images of one update of D in the next step, int64 [lanes, B]."""
        return self._order.index_select(1, self._cursor + self._offsets[d_step])

    def add(self, measures: Tensor) -> None:
        """Add a step's MEASURES [4, lanes] to the sums and advance the cursor."""
        self._sums += measures
        self.watch.add(measures)
        self._cursor += self._images_per_step

    def sums(self) -> Tensor:
        """Return a copy of the sums of MEASURES so far, [4, lanes]."""
        return self._sums.clone()

    def close(self) -> list[list[float]]:
        """End the epoch, whose steps must all be made; return means of MEASURES by lane."""
        assert self.is_trained
        self.is_open = False
        means: list[list[float]] = (self._sums / self.count).tolist()
        return means

    def lane_state(self, lane: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the arrays and the JSON state of a lane for a checkpoint; both empty if no epoch is open."""
        if not self.is_open:
            return {}, {}
        arrays = {
            "stream.data": self._before[lane].numpy().copy(),
            "epoch.sums": self._sums[:, lane].cpu().numpy().copy(),
        }
        return arrays, {"position": self.position, "epoch_seconds": self.seconds}

    def load(self, lane: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Restore a lane's epoch from `lane_state`; its streams must be loaded first."""
        self.is_open = "position" in state
        self.watch.reset(int(state["step"]))
        if not self.is_open:
            return
        self.position, self.seconds = int(state["position"]), float(state["epoch_seconds"])
        self._start = int(state["step"]) - self.position
        self._before[lane] = self._streams[lane]["data"].get_state()
        self._permute(lane)
        self._sums[:, lane] = torch.from_numpy(np.array(arrays["epoch.sums"])).to(self._sums.device)
        self._cursor.fill_(self.position * self._images_per_step)

    def _permute(self, lane: int) -> None:
        source = self._streams[lane]["data"]
        torch.randperm(self._order.shape[1], generator=source, out=self._order[lane])
