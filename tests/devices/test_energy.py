"""EnergyMeter: joules from RAPL's files and from NVML, both replaced; none where nothing can be read."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gan_bench.devices import energy
from gan_bench.devices.energy import EnergyMeter

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.fixture
def rapl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, with a core's zone below the first, and a counter of the whole platform."""
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    for zone, name in (("0", "package-0"), ("0:0", "core"), ("1", "package-1"), ("2", "psys")):
        folder = tmp_path / f"intel-rapl:{zone}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
        (folder / "energy_uj").write_text("1000000\n")
    return tmp_path


def spend(root: Path, zone: str, microjoules: int) -> None:
    (root / f"intel-rapl:{zone}" / "energy_uj").write_text(f"{microjoules}\n")


def test_rapl_adds_the_packages_only(rapl: Path) -> None:
    meter = EnergyMeter.of(CPU)
    meter.start()
    for zone in ("0", "0:0", "1", "2"):
        spend(rapl, zone, 3_500_000)
    assert (meter.source, meter.stop()) == ("rapl", 5.0)


def test_rapl_counters_start_over_at_their_limit(rapl: Path) -> None:
    meter = EnergyMeter.of(CPU)
    spend(rapl, "0", 9_000_000)
    meter.start()
    spend(rapl, "0", 500_000)
    assert meter.stop() == pytest.approx(1.5)


@pytest.mark.parametrize("damage", ["missing", "not a number"])
def test_energy_is_unknown_where_rapl_cannot_be_read(rapl: Path, damage: str) -> None:
    path = rapl / "intel-rapl:1" / "energy_uj"
    path.unlink() if damage == "missing" else path.write_text("many")
    meter = EnergyMeter.of(CPU)
    meter.start()
    assert (meter.source, meter.stop()) == ("", None)


def test_a_counter_that_is_lost_makes_energy_unknown(rapl: Path) -> None:
    meter = EnergyMeter.of(CPU)
    meter.start()
    (rapl / "intel-rapl:0" / "energy_uj").unlink()
    assert (meter.stop(), meter.source) == (None, "")
    meter.start()
    assert meter.stop() is None


def test_machines_without_rapl_have_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "RAPL", tmp_path / "none")
    assert EnergyMeter.of(CPU).source == EnergyMeter.of(torch.device("mps")).source == ""


def test_nvml_reads_the_gpu_of_the_device_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([0, 7_000, 19_500])
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-ab-1": "handle"}[uuid],
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: {"handle": next(spent)}[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"ab-{device.index}")
    )
    meter = EnergyMeter.of(GPU)
    meter.start()
    assert (meter.source, meter.stop()) == ("nvml", 12.5)


def test_without_nvidia_ml_py_or_a_counter_there_is_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter.of(GPU).source == ""

    def refuse() -> None:
        raise RuntimeError("driver not loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=refuse))
    assert EnergyMeter.of(GPU).source == ""
