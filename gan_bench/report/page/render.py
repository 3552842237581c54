"""Rendering of the HTML page and its Markdown version from one context."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from gan_bench.core.numbers import rate_text
from gan_bench.report.findings import conclusions, cost, warning
from gan_bench.report.limitations import limitations
from gan_bench.report.page.chart_parts import LOG_TICKS
from gan_bench.report.page.embed import json_block, policy, vega_bundle
from gan_bench.report.page.first_screen import heading
from gan_bench.report.page.grids import PageGrids, page_grids
from gan_bench.report.page.markdown import Verbatim, escape_markdown, escape_page
from gan_bench.report.page.models import LIGHT, PageModel, color_rules, page_models
from gan_bench.report.page.runs_table import all_runs
from gan_bench.report.page.sections import Section, section
from gan_bench.report.plotting import DATASET_SEPARATOR, RenderedPlot
from gan_bench.report.report_data import ReportData
from gan_bench.report.reproduce import commands
from gan_bench.report.statistics import scale_of
from gan_bench.report.tables import display_tables as tables
from gan_bench.report.tables.summary import LOST

TIMES = "\N{MULTIPLICATION SIGN}"
MAX_SECTIONS = 20
TEMPLATES = Path(__file__).parent / "templates"


REPLACED = frozenset(
    ("epoch_time", "losses", "metrics", "progress", "samples", "score_by_model", "score_by_rate", "score_by_time")
)
"""Plots that the page has as charts, grids or tables of its own; it shows those of plug-ins as images."""


@dataclass(frozen=True)
class ProtocolSection:
    """Conclusions and tables of one protocol, in the Markdown version."""

    title: str
    conclusions: Sequence[str]
    cost: str
    leaderboard: tables.DisplayTable
    times: tables.DisplayTable | None
    rates: tables.DisplayTable
    protocol: tables.DisplayTable


def render_html(data: ReportData, plots: Sequence[RenderedPlot]) -> str:
    """Return the page as one self-contained HTML file.

    It makes no request. Without scripts it has static charts, the last grids and every table; the inline script,
    which the page's policy allows by its hash, makes them interactive.
    """
    models, grids = page_models(data), page_grids(data)
    shown = [
        section(part, key, number, models, grids)
        for number, (part, key) in enumerate(_protocols(data)[:MAX_SECTIONS], start=1)
    ]
    style = (TEMPLATES / "style.css").read_text() + color_rules(len(models))
    script, vega = (TEMPLATES / "page.js").read_text(), vega_bundle()
    environment = _environment(autoescape=True, finalize=escape_page)
    environment.filters["data_uri"] = lambda png: "data:image/png;base64," + base64.b64encode(png).decode()
    environment.filters["breakable"] = breakable
    runs = all_runs(data, models)
    own = {
        "title": shown[0].heading
        if len(shown) == 1
        else heading(list(models.values()), " and ".join(data.datasets)),
        "eyebrow": _eyebrow(data),
        "sections": shown,
        "contents": _contents(shown),
        "runs": runs,
        "outcomes": list(dict.fromkeys(row[4].text for row in runs.rows)),
        "plots": [plot for plot in plots if plot.name.partition(DATASET_SEPARATOR)[0] not in REPLACED],
        "data": json_block(_data(shown, grids, models)),
        "style": Markup(style),
        "vega": Markup(vega),
        "script": Markup(script),
        "policy": policy([style], [vega, script]),
    }
    return environment.get_template("index.html.j2").render({**_context(data), **own}) + "\n"


def breakable(name: str) -> Markup:
    """Return a name that can be broken after its signs."""
    return Markup(re.sub(r"(?<=[/+_-])", "<wbr>", str(escape(escape_page(name)))))


def _protocols(data: ReportData) -> list[tuple[ReportData, str]]:
    """Return each protocol with the data of its data set."""
    return [(part, key) for part in data.by_dataset() for key in part.protocols]


def _data(shown: Sequence[Section], grids: PageGrids, models: Mapping[str, PageModel]) -> dict[str, Any]:
    """Return what the page's script reads: specs of charts, grids by epoch, and scores by epoch."""
    drawn = [
        item
        for each in shown
        for item in (each.scores, each.quality, each.rates, *(each.part.losses if each.part else ()))
        if item is not None
    ]
    names = {}
    for key, grid in grids.runs.items():
        spec = grid.run.spec
        names[key] = f"{spec.label}, seed {spec.seed}, learning rate {rate_text(spec.lr_g, spec.lr_d)}"
    return {
        "charts": {item.chart.name: {"spec": item.chart.spec, "x": item.chart.x_titles} for item in drawn},
        "grids": {
            key: [[epoch, uri] for epoch, uri in sorted(grid.frames.items()) if epoch != grid.last]
            for key, grid in grids.runs.items()
        },
        "scores": {each.id: each.epoch_scores for each in shown},
        "titles": {each.id: each.metric for each in shown},
        "names": names,
        "ticks": LOG_TICKS,
        "colored": list(range(min(len(models), len(LIGHT)))),
    }


def _contents(shown: Sequence[Section]) -> list[tuple[str, str, int]]:
    """Return the contents list as (id, text, level)."""
    found = []
    several = len(shown) > 1
    for each in shown:
        found.append((each.id, each.short_title if several else "Result", 1))
        parts = [
            ("leaderboard", "Leaderboard", True),
            ("quality", "Quality against cost", each.quality),
            ("rates", "Learning rates", True),
            ("samples", "Samples", each.part and each.part.galleries),
            ("pairs", "Who beats whom", each.pairs),
            ("losses", "Losses", each.part and each.part.losses),
        ]
        found += [(f"{each.id}-{name}", text, 2 if several else 1) for name, text, there in parts if there]
    last = (("cost", "Cost"), ("runs", "Every run"), ("limits", "Limitations"), ("protocol", "Protocol"))
    rest = (("environment", "Environment"), ("reproduce", "Reproduce"))
    return [*found, *((id_, text, 1) for id_, text in (*last, *rest))]


def _eyebrow(data: ReportData) -> str:
    """Return the line above the title: data, size of the matrix, length, device and date."""
    runs = data.runs
    sizes = sorted(
        {f"{run.spec.dataset} {run.spec.image_size}{TIMES}{run.spec.image_size}" for run in data.stored}
    )
    numbers = {
        "model": runs["label"].nunique(),
        "seed": runs["seed"].nunique(),
        "learning rate": len(set(zip(runs["lr_g"], runs["lr_d"], strict=True))),
    }
    counts = [_plural(count, noun) for noun, count in numbers.items()]
    whole = math.prod(numbers.values()) == len(runs)
    matrix = (
        (f" {TIMES} " if whole else ", ").join(counts) + (" = " if whole else "; ") + _plural(len(runs), "run")
    )
    lost = [f"{count} {name}" for name in LOST if (count := int((runs["status"] == name).sum()))]
    lengths = sorted(set(data.training_scores["budget"]))
    devices = sorted({str(name) for name in runs["device_name"] if name})
    finished = max((str(text) for text in runs["finished_at"]), default="")[:10]
    matrix += f" ({', '.join(lost)})" if lost else ""
    return " · ".join(filter(None, [", ".join(sizes), matrix, *lengths[:2], *devices[:2], finished]))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def render_markdown(data: ReportData, plots: Sequence[RenderedPlot]) -> str:
    """Return the page's contents as Markdown, with the images of `plots/`."""
    environment = _environment(autoescape=False, finalize=escape_markdown)
    environment.globals["verbatim"] = Verbatim
    return (
        environment.get_template("report.md.j2").render(
            {**_context(data), **_markdown_context(data), "plots": plots}
        )
        + "\n"
    )


def _environment(autoescape: bool, finalize: Any = None) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(data: ReportData) -> dict[str, Any]:
    return {
        "warning": warning(data),
        "limitations": [*_omissions(data), *limitations(data)],
        "left_out": tables.display_left_out(data),
        "costs": [
            (name, tables.display_costs(part)) for name, part in zip(data.datasets, data.by_dataset(), strict=True)
        ],
        "failures": tables.display_failures(data),
        "verdicts": tables.display_verdicts(data),
        "environments": tables.display_environments(data),
        "commands": [Verbatim(command) for command in commands(data.stored)],
        "several_rates": bool((data.leaderboard["n_rates"] > 1).any()),
        "rate_choices": list(dict.fromkeys(data.leaderboard["rate_choice"])),
        "log_scale": "log" in {scale_of(metric) for metric in data.leaderboard["metric"]},
        "several_draws": bool(data.leaderboard["std_draws"].notna().any()),
    }


def _markdown_context(data: ReportData) -> dict[str, Any]:
    return {
        "facts": _facts(data),
        "sections": [_section(part, key) for part, key in _protocols(data)[:MAX_SECTIONS]],
    }


def _section(data: ReportData, key: str) -> ProtocolSection:
    """Return the section of a protocol; the first one of its data set has the sentence on costs."""
    return ProtocolSection(
        data.protocol_title(key),
        conclusions(data, key),
        cost(data, key) if key == data.protocols[0] else "",
        tables.display_leaderboard(data, key),
        tables.display_time_to_score(data, key),
        tables.display_rates(data, key),
        tables.display_protocol(data, key),
    )


def _omissions(data: ReportData) -> list[str]:
    """Return sentences about runs and protocols that the page does not show."""
    sentences = []
    if data.left_out:
        count = len(data.left_out)
        runs, are = ("1 run", "is") if count == 1 else (f"{count:,} runs", "are")
        sentences.append(
            f"{runs} of the folder {are} left out, because files are damaged; their reasons are listed."
        )
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
