"""An epoch: each lane's permutation of the training set, how far it is read, and sums of what steps measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_bench.training.step import MEASURES
from gan_bench.training.streams import Streams


class Epoch:
    """The epoch of all lanes; one after another is opened, and none is open at first.

    What a step reads and writes of it stays where it is on the device, so that a step can be captured. An epoch is
    `images` // `batch_size` steps, or what is left of `total_steps`.
    """

    def __init__(
        self,
        streams: Sequence[Streams],
        images: int,
        batch_size: int,
        total_steps: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._streams, self._batch_size, self._total_steps = streams, batch_size, total_steps
        self.is_open = False
        self.position = 0
        """How many of its steps were made."""
        self.seconds = 0.0
        self._start = 0
        self._before = [lane["data"].get_state() for lane in streams]
        """Each lane's data stream before it drew the permutation, which takes a thousand times the room."""
        self._order = torch.zeros(len(streams), images, dtype=torch.int64, device=device)
        self._cursor = torch.zeros((), dtype=torch.int64, device=device)
        self._batch = torch.arange(batch_size, device=device)
        self._sums = torch.zeros(len(MEASURES), len(streams), device=device, dtype=dtype)

    @property
    def count(self) -> int:
        """How many steps it has."""
        return min(self._order.shape[1] // self._batch_size, self._total_steps - self._start)

    @property
    def is_trained(self) -> bool:
        """Whether it is open, and every step of it was made."""
        return self.is_open and self.position >= self.count

    def open(self, start: int) -> None:
        """Begin an epoch at the step `start`: every lane draws its permutation."""
        self.is_open, self._start, self.position, self.seconds = True, start, 0, 0.0
        self._before = [lane["data"].get_state() for lane in self._streams]
        for lane in range(len(self._streams)):
            self._draw_order_(lane)
        self._sums.zero_()
        self.rewind()

    def rewind(self) -> None:
        """Read the permutations from their beginning."""
        self._cursor.zero_()

    def next_batch(self) -> Tensor:
        """Return the indices of the next step's images, int64 [lanes, B]."""
        return self._order.index_select(1, self._cursor + self._batch)

    def add_(self, measures: Tensor) -> None:
        """Take what a step measured, MEASURES [4, lanes], and read on."""
        self._sums += measures
        self._cursor += self._batch_size

    def sums(self) -> Tensor:
        """Return a copy of the sums of MEASURES so far, [4, lanes]."""
        return self._sums.clone()

    def close(self) -> list[list[float]]:
        """End the epoch, all of whose steps were made; return means of MEASURES by lane."""
        assert self.is_trained
        self.is_open = False
        means: list[list[float]] = (self._sums / self.count).tolist()
        return means

    def state(self, lane: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arrays and JSON that a lane's checkpoint keeps of it; nothing if it is not open."""
        if not self.is_open:
            return {}, {}
        arrays = {
            "stream.data": self._before[lane].numpy().copy(),
            "epoch.sums": self._sums[:, lane].cpu().numpy().copy(),
        }
        return arrays, {"position": self.position, "epoch_seconds": self.seconds}

    def load_(self, lane: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Take up a lane's epoch where `state` left it, its streams being loaded already."""
        self.is_open = "position" in state
        if not self.is_open:
            return
        self.position, self.seconds = int(state["position"]), float(state["epoch_seconds"])
        self._start = int(state["step"]) - self.position
        self._before[lane] = self._streams[lane]["data"].get_state()
        self._draw_order_(lane)
        self._sums[:, lane] = torch.from_numpy(np.array(arrays["epoch.sums"])).to(self._sums.device)
        self._cursor.fill_(self.position * self._batch_size)

    def _draw_order_(self, lane: int) -> None:
        source = self._streams[lane]["data"]
        torch.randperm(self._order.shape[1], generator=source, out=self._order[lane])
