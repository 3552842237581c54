"""Progress bars on a terminal: all runs, groups in training and evaluations, each with its remaining time."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

WIDE = 100
"""Columns from which bars are longer and counts have units."""


class NameColumn(ProgressColumn):
    """A task's description, on one line; the only column that is cut off on a narrow terminal."""

    def render(self, task: Task) -> Text:
        """Return the description."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class CountColumn(ProgressColumn):
    """Completed and total count; empty while the total is unknown."""

    def __init__(self, with_unit: bool) -> None:
        self.with_unit = with_unit
        super().__init__(Column(justify="right", no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return, for instance, `112/640 steps`."""
        if not task.total:
            return Text("")
        unit = f" {task.fields['unit']}" if self.with_unit else ""
        return Text(f"{int(task.completed):,}/{int(task.total):,}{unit}")


class RemainingTimeColumn(ProgressColumn):
    """Remaining time: at a task's latest speed; for all runs, at their average speed."""

    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(justify="right", no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return, for instance, `0:01:12 left`."""
        seconds = remaining_seconds(task)
        return Text("" if seconds is None else f"{timedelta(seconds=round(seconds))} left", style="cyan")


def remaining_seconds(task: Task) -> float | None:
    """Return a task's remaining time in seconds, or None while it is unknown."""
    initial: float | None = task.fields.get("initial")
    if initial is None:
        return task.time_remaining
    if task.total is None or task.elapsed is None or task.completed <= initial:
        return None
    return task.elapsed * (task.total - task.completed) / (task.completed - initial)


def progress_bars(console: Console) -> Progress:
    """Return bars that fit the console; tasks need the fields `note` and `unit`.

    A task with the field `initial`, its count at the start, is timed at its average speed.
    """
    wide = console.width >= WIDE
    return Progress(
        NameColumn(),
        BarColumn(bar_width=24 if wide else 10),
        CountColumn(wide),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True), markup=False),
        RemainingTimeColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
