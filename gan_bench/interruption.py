"""Being asked to stop: the first signal sets a flag that work looks at between steps, a second ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Ctrl-C, and what schedulers send before they end a job."""
PATIENCE_SECONDS = 25.0
"""Work that has not stopped by then is ended: whatever is on the disk is whole at any moment."""
SAME_PRESS_SECONDS = 0.3
"""A terminal and a launcher may both pass on one Ctrl-C."""

_asked: int | None = None


class Interrupted(KeyboardInterrupt):
    """A signal asked for the end, and the work stopped at a point that it can go on from."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """Return 130 after Ctrl-C and 143 after any other signal."""
    return 130 if number == signal.SIGINT else 143


def asked() -> bool:
    """Say whether a signal asked for the end."""
    return _asked is not None


def check() -> None:
    """Raise Interrupted if a signal asked for the end; for places that the work can go on from."""
    if _asked is not None:
        raise Interrupted(_asked)


@contextlib.contextmanager
def by_signals() -> Iterator[None]:
    """Let signals set the flag inside this block.

    Outside the main thread signals can't be had: nothing is changed there.
    """
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    timer: threading.Timer | None = None
    asked_at = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal timer, asked_at
        global _asked
        now = time.monotonic()
        if _asked is not None:
            if now - asked_at > SAME_PRESS_SECONDS:
                end_at_once(number)
            return
        _asked, asked_at = number, now
        timer = threading.Timer(PATIENCE_SECONDS, end_at_once, [number])
        timer.daemon = True
        timer.start()
        _say(b"\nstopping where it can be gone on with; again to end at once\n")

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if timer is not None:
            timer.cancel()
        _asked = None


def end_at_once(number: int) -> None:
    """Leave without another word; worker processes follow, for they watch this one."""
    if os.isatty(2):
        _say(b"\x1b[?25h")  # bars hide the cursor
    os._exit(exit_code(number))


def _say(text: bytes) -> None:
    """Write to stderr, safely in a handler; who read it may be gone, by the same Ctrl-C (`2>&1 | tee`)."""
    with contextlib.suppress(OSError):
        os.write(2, text)
