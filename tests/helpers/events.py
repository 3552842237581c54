"""Listeners for tests."""

from __future__ import annotations

from gan_bench.core.events import Event, Notice, OnEvent


def notices_into(texts: list[str]) -> OnEvent:
    """A listener that appends the text of every notice."""

    def on_event(event: Event) -> None:
        if isinstance(event, Notice):
            texts.append(event.text)

    return on_event
