"""Plot: a function of the report's data with a declared title, caption and order, and the registry of plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.figure import Figure

from gan_bench.core.registry import Registry
from gan_bench.report.report_data import ReportData

PlotFunction: TypeAlias = Callable[[ReportData], Figure | None]
"""Report data in, a figure out, or None where there is nothing to show. Leaves no state in matplotlib."""


@dataclass(frozen=True)
class Plot:
    """A registered plot."""

    title: str
    """Its heading on the page."""
    caption: str
    order: int
    """Plots are shown in ascending order, equal ones by name."""
    function: PlotFunction

    def __call__(self, data: ReportData) -> Figure | None:
        """Return the figure, or None where there is nothing to show."""
        return self.function(data)


plots: Registry[Plot] = Registry("plot", "gan_bench.report.plots", "gan_bench.plots")


def plot(name: str, *, title: str, caption: str, order: int = 100) -> Callable[[PlotFunction], PlotFunction]:
    """Return a decorator that registers a function as the plot `name`; its files are `name`.png and `name`.svg."""

    def decorate(function: PlotFunction) -> PlotFunction:
        plots.register(name)(Plot(title, caption, order, function))
        return function

    return decorate
