"""Process-wide settings, restored after each group: what user code leaves behind must not reach the next one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_bench.core.signals import SIGNALS


@contextlib.contextmanager
def preserved_process_state() -> Iterator[None]:
    """Restore settings of PyTorch, NumPy and Python at the end of the block, however it ends."""
    settings = [_kept(read, write) for read, write in SETTINGS]
    environment, path = dict(os.environ), list(sys.path)
    streams = sys.stdin, sys.stdout, sys.stderr
    handlers = [(number, signal.getsignal(number)) for number in SIGNALS]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for restore in settings:
            restore()
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        sys.stdin, sys.stdout, sys.stderr = streams
        with contextlib.suppress(ValueError, TypeError):  # not in the main thread; a handler not set from Python
            for number, handler in handlers:
                signal.signal(number, handler)


def _kept(read: Callable[[], Any], write: Callable[[Any], object]) -> Callable[[], object]:
    """Return a function that sets a setting to the value that it has now."""
    try:
        value = read()
    except RuntimeError:  # what PyTorch's newer precision API has set can't be read by the older one
        return lambda: None
    return lambda: write(value)


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # a mode of its own slows every call


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _change_folder(folder: Path | None) -> None:
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (_deterministic, _set_deterministic),
    (torch.get_rng_state, torch.set_rng_state),
    (np.random.get_state, np.random.set_state),
    (np.geterr, lambda value: np.seterr(**value)),
    (random.getstate, random.setstate),
    (_umask, os.umask),
    (_folder, _change_folder),
    _attribute(torch.backends.cudnn, "enabled"),
    _attribute(torch.backends.cudnn, "benchmark"),
    _attribute(torch.backends.cudnn, "deterministic"),
    _attribute(torch.backends.cudnn, "allow_tf32"),
    _attribute(torch.backends.cuda.matmul, "allow_tf32"),
    _attribute(torch.backends.mkldnn, "enabled"),
)
"""Functions that read a setting, and that set it."""
