"""Signals: the first one asks work to stop at its next checkpoint, the second one quits at once."""

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
"""Ctrl-C, and the signals that schedulers send before they end a job."""
GRACE_SECONDS = 25.0
"""Time from the first signal to a forced exit; files on disk are complete at any moment."""
SAME_PRESS_SECONDS = 0.3
"""A terminal and a launcher may both deliver one Ctrl-C."""
STOPPING = b"\nStopping at the next checkpoint. Press Ctrl-C again to quit immediately.\n"

_received: int | None = None


class Interrupted(KeyboardInterrupt):
    """Work stopped after a signal, at a point from which it can be resumed."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """Return 130 after Ctrl-C and 143 after any other signal."""
    return 130 if number == signal.SIGINT else 143


def stop_requested() -> bool:
    """Return whether a signal asked work to stop."""
    return _received is not None


def check() -> None:
    """Raise Interrupted if a signal asked work to stop; to be called where work can be resumed."""
    if _received is not None:
        raise Interrupted(_received)


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Handle signals within the block by requesting a stop; does nothing outside the main thread."""
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    timer: threading.Timer | None = None
    received_at = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal timer, received_at
        global _received
        now = time.monotonic()
        if _received is not None:
            if now - received_at > SAME_PRESS_SECONDS:
                exit_now(number)
            return
        _received, received_at = number, now
        timer = threading.Timer(GRACE_SECONDS, exit_now, [number])
        timer.daemon = True
        timer.start()
        _write(STOPPING)

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if timer is not None:
            timer.cancel()
        _received = None


def exit_now(number: int) -> None:
    """Exit without cleanup; worker processes watch this one and exit too."""
    if os.isatty(2):
        _write(b"\x1b[?25h")  # progress bars hide the cursor
    os._exit(exit_code(number))


def _write(text: bytes) -> None:
    """Write to stderr, async-signal-safe; its reader may be gone, by the same Ctrl-C (`2>&1 | tee`)."""
    with contextlib.suppress(OSError):
        os.write(2, text)
