"""The bars on a terminal: all runs, the runs being trained, the evaluations, each with the time left."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

WIDE = 100
"""From so many columns on there is room for longer bars and for units."""


class Name(ProgressColumn):
    """What a bar is about: the only column that gives way where a terminal is narrow."""

    def render(self, task: Task) -> Text:
        """Return the task's description, on one line."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class Count(ProgressColumn):
    """How much is done of how much; nothing while that is not known."""

    def __init__(self, with_unit: bool) -> None:
        self.with_unit = with_unit
        super().__init__(Column(justify="right", no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return, for instance, `112/640 steps`."""
        if not task.total:
            return Text("")
        unit = f" {task.fields['unit']}" if self.with_unit else ""
        return Text(f"{int(task.completed):,}/{int(task.total):,}{unit}")


class Left(ProgressColumn):
    """The time left: at the task's latest speed; of all runs, at the speed since they began."""

    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(justify="right", no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return, for instance, `0:01:12 left`."""
        seconds = seconds_left(task)
        return Text("" if seconds is None else f"{timedelta(seconds=round(seconds))} left", style="cyan")


def seconds_left(task: Task) -> float | None:
    """Return how long a task has to go, in seconds; None where nothing is known yet."""
    before: float | None = task.fields.get("before")
    if before is None:
        return task.time_remaining
    if task.total is None or task.elapsed is None or task.completed <= before:
        return None
    return task.elapsed * (task.total - task.completed) / (task.completed - before)


def bars(console: Console) -> Progress:
    """Return bars that fit the console; tasks need the fields `note` and `unit`.

    A task with the field `before` (what was done before it began) is timed over its whole life.
    """
    wide = console.width >= WIDE
    return Progress(
        Name(),
        BarColumn(bar_width=24 if wide else 10),
        Count(wide),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True), markup=False),
        Left(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
