"""Process-wide settings that user code changes are restored after each group."""

from __future__ import annotations

import os
import random
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_bench.runner.process_state import SETTINGS, preserved_process_state

CHANGES: dict[str, Callable[[], Any]] = {
    "gradients": lambda: torch.set_grad_enabled(False),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "cuDNN": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "oneDNN": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "torch's stream": lambda: torch.manual_seed(7),
    "NumPy's stream": lambda: np.random.seed(7),
    "NumPy's errors": lambda: np.seterr(all="raise"),
    "Python's stream": lambda: random.seed(7),
    "umask": lambda: os.umask(0o777),
}


def settings() -> list[str]:
    return [repr(read()) for read, _ in SETTINGS]


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_is_restored(name: str) -> None:
    before = settings()
    with preserved_process_state():
        CHANGES[name]()
        assert settings() != before, "the change is none"
    assert settings() == before
    assert torch.rand(()).device.type == "cpu"


def test_folder_environment_streams_and_signals_are_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "1")
    before = Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGUSR1), list(warnings.filters)
    with preserved_process_state():
        os.chdir(tmp_path)
        del os.environ["KEPT"]
        os.environ["ADDED"] = "1"
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        warnings.simplefilter("ignore")
    assert (Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGUSR1), list(warnings.filters)) == before


def test_a_folder_that_was_removed_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with preserved_process_state():
        pass
