"""Failure reasons: one line for an exception, an exit code or a lack of memory."""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

from gan_bench.core.errors import InputError

LOG_TAIL_CHARACTERS = 2000
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "MemoryError", "ALLOC_FAILED")
"""Phrases of the system, of torch on a GPU and on a CPU, of Python and NumPy, and of CUDA's libraries."""
MEMORY_ADVICE = " If reserved but unallocated memory is large"
"""Start of torch's general advice, which follows the sizes in its out-of-memory message."""


def failure_reason(error: BaseException) -> str:
    """Return an exception's type, message and location in one line; of an InputError, its message."""
    if isinstance(error, InputError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    location = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    message = str(error).strip().partition("\n")[0].partition(MEMORY_ADVICE)[0]
    return f"{type(error).__name__}{': ' if message else ''}{message}{location}"


def log_tail(text: str) -> str:
    """Return the end of a log, short enough for a record, without the list of modules that a crash prints."""
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Extension modules: "))
    return text[-LOG_TAIL_CHARACTERS:].strip()


def is_out_of_memory(reason: str) -> bool:
    """Return whether a failure reason is a lack of memory, where fewer lanes may help."""
    return any(phrase in reason for phrase in OUT_OF_MEMORY)


def exit_reason(code: int | None, *, ready: bool) -> str:
    """Return what a worker's exit code means; `ready` says that it had started to work."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; most often the machine ran out of memory" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    if not ready:
        return f"its process exited before it started, with exit code {code}"
    return f"its process exited while running, with exit code {code}"
