"""Progress bars on a terminal: all runs, groups in training and evaluations, each with its remaining time."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

WIDE = 100
"""Columns from which bars are longer and counts have units."""
SPEED_SECONDS = 600.0
"""Remaining times are estimated from the average speed of this last time."""


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


def progress_bars(console: Console) -> Progress:
    """Return bars that fit the console; tasks need the fields `note` and `unit`."""
    wide = console.width >= WIDE
    return Progress(
        NameColumn(),
        BarColumn(bar_width=24 if wide else 10),
        CountColumn(wide),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(no_wrap=True), markup=False),
        TimeRemainingColumn(table_column=Column(justify="right", no_wrap=True)),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=SPEED_SECONDS,
    )
