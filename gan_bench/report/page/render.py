"""Rendering of the HTML page and its Markdown version from one context."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from gan_bench.report.findings import conclusions, cost, warning
from gan_bench.report.limitations import limitations
from gan_bench.report.page.markdown import Verbatim, escape_markdown, escape_page
from gan_bench.report.plotting import RenderedPlot
from gan_bench.report.report_data import ReportData
from gan_bench.report.reproduce import commands
from gan_bench.report.statistics import scale_of
from gan_bench.report.tables import display_tables as tables

MAX_SECTIONS = 20
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ProtocolSection:
    """Conclusions and tables of one protocol."""

    title: str
    conclusions: Sequence[str]
    cost: str
    leaderboard: tables.DisplayTable
    rates: tables.DisplayTable
    protocol: tables.DisplayTable


def render_html(data: ReportData, plots: Sequence[RenderedPlot]) -> str:
    """Return the page as one self-contained HTML file with inline styles and images; no scripts, no requests."""
    environment = _environment(autoescape=True, finalize=escape_page)
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    return environment.get_template("index.html.j2").render(_context(data, plots)) + "\n"


def render_markdown(data: ReportData, plots: Sequence[RenderedPlot]) -> str:
    """Return the page's contents as Markdown, with the images of `plots/`."""
    environment = _environment(autoescape=False, finalize=escape_markdown)
    environment.globals["verbatim"] = Verbatim
    return environment.get_template("report.md.j2").render(_context(data, plots)) + "\n"


def _environment(autoescape: bool, finalize: Any = None) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(data: ReportData, plots: Sequence[RenderedPlot]) -> dict[str, Any]:
    parts = data.by_dataset()
    sections = [(part, key) for part in parts for key in part.protocols]
    return {
        "facts": _facts(data),
        "warning": warning(data),
        "sections": [_section(part, key) for part, key in sections[:MAX_SECTIONS]],
        "limitations": [*_omissions(data), *limitations(data)],
        "left_out": tables.display_left_out(data),
        "costs": [(name, tables.display_costs(part)) for name, part in zip(data.datasets, parts, strict=True)],
        "failures": tables.display_failures(data),
        "verdicts": tables.display_verdicts(data),
        "environments": tables.display_environments(data),
        "commands": [Verbatim(command) for command in commands(data.stored)],
        "plots": plots,
        "colors": data.colors,
        "several_rates": bool((data.leaderboard["n_rates"] > 1).any()),
        "rate_choices": list(dict.fromkeys(data.leaderboard["rate_choice"])),
        "log_scale": "log" in {scale_of(metric) for metric in data.leaderboard["metric"]},
        "several_draws": bool(data.leaderboard["std_draws"].notna().any()),
    }


def _section(data: ReportData, key: str) -> ProtocolSection:
    """Return the section of a protocol; the first one of its data set has the sentence on costs."""
    return ProtocolSection(
        data.protocol_title(key),
        conclusions(data, key),
        cost(data, key) if key == data.protocols[0] else "",
        tables.display_leaderboard(data, key),
        tables.display_rates(data, key),
        tables.display_protocol(data, key),
    )


def _omissions(data: ReportData) -> list[str]:
    """Return sentences about runs and protocols that the page does not show."""
    sentences = []
    if data.left_out:
        count = len(data.left_out)
        runs, are = ("1 run", "is") if count == 1 else (f"{count:,} runs", "are")
        sentences.append(f"{runs} of the folder {are} left out, because files are damaged; the reasons are below.")
    if len(data.protocols) > MAX_SECTIONS:
        sentences.append(
            f"Only the first {MAX_SECTIONS} of {len(data.protocols)} protocols are shown; summary.csv has all."
        )
    return sentences


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Return the facts below the title: numbers of runs, models, data sets and seeds, and the last run's date."""
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
