"""Energy of a device, from counters in hardware: NVML for an NVIDIA GPU, RAPL for the CPUs of a Linux machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class EnergyCounter:
    """A counter of joules that starts over at `limit`."""

    read: Callable[[], float]
    limit: float = math.inf


class EnergyMeter:
    """Joules between `start` and `stop`: of everything that the device does, other processes included.

    `source` is `nvml`, `rapl`, or empty where no counter can be read: the optional package nvidia-ml-py is
    missing, the GPU has no counter, or RAPL's files are not readable, as for most users without root.
    """

    def __init__(self, counters: Sequence[EnergyCounter], source: str) -> None:
        self._counters = counters
        self.source = source if counters else ""
        self._before: list[float] | None = None

    @classmethod
    def of(cls, device: torch.device) -> EnergyMeter:
        """Return the meter of a device."""
        if device.type == "cuda":
            return cls(_nvml_counters(device), "nvml")
        return cls(_rapl_counters(RAPL) if device.type == "cpu" else [], "rapl")

    def start(self) -> None:
        """Start a measurement."""
        self._before = self._read()

    def stop(self) -> float | None:
        """Return the joules since `start`; None where they are not known."""
        before, after = self._before, self._read()
        if before is None or after is None:
            return None
        spent = [
            new - old if new >= old else new - old + counter.limit
            for old, new, counter in zip(before, after, self._counters, strict=True)
        ]
        return sum(spent) if math.isfinite(sum(spent)) else None

    def _read(self) -> list[float] | None:
        if not self.source:
            return None
        try:
            return [counter.read() for counter in self._counters]
        except Exception:  # each library has exceptions of its own; a lost counter must not end a run
            self.source = ""
            return None


def _rapl_counters(root: Path) -> list[EnergyCounter]:
    """Return a counter for each processor package; none where one of them is not readable."""
    counters = []
    try:
        for zone in sorted(root.glob("intel-rapl:*")):  # of AMD's processors, too
            if (zone / "name").read_text().startswith("package"):
                path = zone / "energy_uj"
                limit = _joules(zone / "max_energy_range_uj")
                _joules(path)
                counters.append(EnergyCounter(lambda path=path: _joules(path), limit))  # type: ignore[misc]
    except (OSError, ValueError):
        return []
    return counters


def _joules(path: Path) -> float:
    return int(path.read_text()) / 1e6


def _nvml_counters(device: torch.device) -> list[EnergyCounter]:
    """Return the counter of a GPU, which exists from Volta on; none without nvidia-ml-py or a counter."""
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # ImportError, NVML's errors, or a torch without uuid
        return []
    return [EnergyCounter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)]
