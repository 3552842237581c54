"""Signals: the first one requests a stop, a later one quits, and one Ctrl-C delivered twice counts once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gan_bench.core import signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="POSIX signals")


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signal numbers of the exits that would have happened."""
    numbers: list[int] = []
    monkeypatch.setattr(signals, "exit_now", numbers.append)
    return numbers


def send(number: int) -> None:
    signal.raise_signal(signal.Signals(number))


def test_the_first_signal_requests_a_stop_and_prints_what_to_press(
    exits: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    with signals.handle_signals():
        assert not signals.stop_requested()
        signals.check()
        send(signal.SIGINT)
        assert signals.stop_requested()
        with pytest.raises(signals.Interrupted, match="SIGINT") as caught:
            signals.check()
    assert caught.value.exit_code == 130
    expected = "\nStopping at the next checkpoint. Press Ctrl-C again to quit immediately.\n"
    assert capfd.readouterr().err == expected
    assert exits == []


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 143), ("SIGUSR2", 143)])
def test_the_exit_code_says_which_signal_it_was(name: str, code: int, exits: list[int]) -> None:
    with signals.handle_signals():
        send(getattr(signal, name))
        with pytest.raises(signals.Interrupted, match=name) as caught:
            signals.check()
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt), "no handler of Exception may catch it"


def test_a_second_signal_exits_unless_it_is_the_same_key_press(
    exits: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    with signals.handle_signals():
        send(signal.SIGINT)
        now += signals.SAME_PRESS_SECONDS / 2
        send(signal.SIGINT)
        assert exits == []
        now += signals.SAME_PRESS_SECONDS
        send(signal.SIGTERM)
        assert exits == [signal.SIGTERM]
    assert capfd.readouterr().err.count("Stopping") == 1


def test_work_that_does_not_stop_is_ended_after_the_grace_period(
    exits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "GRACE_SECONDS", 0.0)
    ended = threading.Event()
    monkeypatch.setattr(signals, "exit_now", lambda number: (exits.append(number), ended.set()))
    with signals.handle_signals():
        send(signal.SIGTERM)
        assert ended.wait(20)
    assert exits == [signal.SIGTERM]


def test_handlers_and_the_request_end_with_the_block(exits: list[int]) -> None:
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    timers = threading.active_count()
    with signals.handle_signals():
        assert {number: signal.getsignal(number) for number in signals.SIGNALS} != before
        send(signal.SIGUSR1)
    assert {number: signal.getsignal(number) for number in signals.SIGNALS} == before
    assert not signals.stop_requested()
    signals.check()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(20)
    assert threading.active_count() <= timers


def test_outside_the_main_thread_nothing_is_handled() -> None:
    before = signal.getsignal(signal.SIGINT)
    found = []

    def work() -> None:
        with signals.handle_signals():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_closed_stderr_does_not_prevent_a_stop(exits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, text: bytes) -> int:
        raise BrokenPipeError

    with signals.handle_signals():
        monkeypatch.setattr(os, "write", refuse)
        send(signal.SIGINT)
        monkeypatch.undo()
        assert signals.stop_requested()
