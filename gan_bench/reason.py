"""Why a run failed, or a group was lost, in one line."""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

from gan_bench.errors import InputError

TAIL_CHARACTERS = 2000
LACK_OF_MEMORY = ("out of memory", "can't allocate memory", "MemoryError", "ALLOC_FAILED")
"""Words of the system, of torch on a GPU and on a CPU, of Python and NumPy, and of CUDA's libraries."""
ADVICE_ON_MEMORY = " If reserved but unallocated memory is large"
"""What torch goes on with, at length, after it has said how much it asked for and how much there was."""


def reason_of(error: BaseException) -> str:
    """Return an exception's type, message and the place it was raised at; of an InputError, what it tells."""
    if isinstance(error, InputError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    first_line = str(error).strip().partition("\n")[0].partition(ADVICE_ON_MEMORY)[0]
    return f"{type(error).__name__}{': ' if first_line else ''}{first_line}{place}"


def tail(text: str) -> str:
    """Return the last lines of a log, in a length that a record can carry."""
    return text[-TAIL_CHARACTERS:].strip()


def is_lack_of_memory(reason: str) -> bool:
    """Say whether a reason, ours or torch's, speaks of memory: fewer lanes may help."""
    return any(word in reason for word in LACK_OF_MEMORY)


def reason_of_exit(code: int | None, *, ready: bool) -> str:
    """Say what a process's exit code means; `ready`: it had begun to work."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; most often the machine ran out of memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    if not ready:
        hint = "; a script that calls gan_bench with several jobs needs `if __name__ == '__main__':`"
        return f"its process ended before it began, with exit code {code}{hint}"
    return f"its process ended in the middle, with exit code {code}"
