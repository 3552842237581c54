"""Clock of training time on any device."""

from __future__ import annotations

import time

import torch


class Clock:
    """Seconds between start() and stop(); on a GPU by CUDA events, without synchronizing in between."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._device = device
        self._start = 0.0
        self._events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None

    def start(self) -> None:
        """Start timing; work launched before is not counted."""
        if self._cuda:
            self._events = (_event(), _event())
            torch.cuda.synchronize(self._device)
            self._events[0].record()
        else:
            synchronize(self._device)
            self._start = time.perf_counter()

    def stop(self) -> float:
        """Wait for the device and return the seconds since start()."""
        if self._events is not None:
            self._events[1].record()
            torch.cuda.synchronize(self._device)
            return float(self._events[0].elapsed_time(self._events[1])) / 1000
        synchronize(self._device)
        return time.perf_counter() - self._start


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def synchronize(device: torch.device) -> None:
    """Wait until everything launched on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
