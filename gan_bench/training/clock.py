"""Clock of training time on any device."""

from __future__ import annotations

import time

import torch


class Clock:
    """Seconds since it was made; waits for the device at both ends."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        synchronize(device)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Wait for the device and return the seconds since the start."""
        synchronize(self._device)
        return time.perf_counter() - self._start


def synchronize(device: torch.device) -> None:
    """Wait until everything launched on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
