"""The page and its Markdown twin: one story, rendered twice."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from gan_bench.report.data import ReportData
from gan_bench.report.plotting import Drawn
from gan_bench.report.reproduce import commands
from gan_bench.report.story import conclusions, cost, not_shown, warning
from gan_bench.report.views import (
    View,
    cost_view,
    environment_views,
    failures_view,
    leaderboard_view,
    protocol_view,
    rates_view,
    verdicts_view,
)

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """What is told of one protocol."""

    title: str
    conclusions: Sequence[str]
    leaderboard: View
    rates: View
    protocol: View


def render_html(data: ReportData, drawn: Sequence[Drawn]) -> str:
    """Return the page as one self-contained HTML file: styles and pictures inside, no script, no request."""
    environment = _environment(autoescape=True)
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    return environment.get_template("index.html.j2").render(_story(data, drawn)) + "\n"


def render_markdown(data: ReportData, drawn: Sequence[Drawn]) -> str:
    """Return the same story as Markdown, with the pictures of `plots/`."""
    environment = _environment(autoescape=False, finalize=_markdown_text)
    environment.globals["verbatim"] = Verbatim
    return environment.get_template("report.md.j2").render(_story(data, drawn)) + "\n"


def _environment(autoescape: bool, finalize: Any = None) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _markdown_text(value: object) -> object:
    """Take from a value everything that Markdown, or HTML in it, would make more of than text."""
    if isinstance(value, (Verbatim, jinja2.runtime.Macro)) or not isinstance(value, str):
        return value
    text = " ".join(value.split())
    for old, new in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(old, new)
    for sign in "|[]`*":
        text = text.replace(sign, f"\\{sign}")
    return text


class Verbatim(str):
    """Text made by this package from validated names, which goes into Markdown as it is."""

    __slots__ = ()


def _story(data: ReportData, drawn: Sequence[Drawn]) -> dict[str, Any]:
    sections = [
        Section(
            data.protocol_title(key),
            conclusions(data, key),
            leaderboard_view(data, key),
            rates_view(data, key),
            protocol_view(data, key),
        )
        for key in data.protocols
    ]
    return {
        "facts": _facts(data),
        "warning": warning(data),
        "sections": sections,
        "cost": cost(data, data.protocols[0]),
        "not_shown": not_shown(data),
        "costs": cost_view(data),
        "failures": failures_view(data),
        "verdicts": verdicts_view(data),
        "environments": environment_views(data),
        "commands": [Verbatim(command) for command in commands(data.stored)],
        "plots": drawn,
        "colours": data.colours,
        "several_rates": bool((data.leaderboard["n_rates"] > 1).any()),
    }


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Return the numbers under the title: runs, models, data sets, seeds, and the day of the last run."""
    runs = data.runs
    status = runs["status"].value_counts()
    unfinished = [f"{status[name]} {name}" for name in ("diverged", "failed") if name in status]
    finished = max((str(text) for text in runs["finished_at"]), default="")[:10]
    facts = [
        ("runs", f"{len(runs)}" + (f" ({', '.join(unfinished)})" if unfinished else "")),
        ("models", str(runs["label"].nunique())),
        ("data", ", ".join(sorted(runs["dataset"].unique()))),
        ("seeds", str(runs["seed"].nunique())),
        ("last run", finished),
    ]
    return [(name, value) for name, value in facts if value]
