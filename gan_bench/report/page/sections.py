"""Sections of the page: one for each protocol, with its first screen, charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from markupsafe import Markup

from gan_bench.core.numbers import MISSING, number, rate_text
from gan_bench.report import findings
from gan_bench.report.page import leaderboard_table, loss_charts, pairs_table, score_charts
from gan_bench.report.page.cells import PageTable
from gan_bench.report.page.chart_parts import Chart
from gan_bench.report.page.embed import static_svg
from gan_bench.report.page.first_screen import (
    Models,
    Picture,
    Tile,
    certainty,
    heading,
    hero_pictures,
    run_picture,
    separation,
    tiles,
    tradeoffs,
)
from gan_bench.report.page.grids import PageGrids, RunGrids
from gan_bench.report.page.models import PageModel
from gan_bench.report.plotting import MANY_LINES
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables import display_tables

DISAGREEMENT = "Not all agree"
"""How a sentence on metrics that disagree with the headline starts."""


@dataclass(frozen=True)
class DrawnChart:
    """A chart with its static version."""

    chart: Chart
    svg: Markup


@dataclass(frozen=True)
class Gallery:
    """The last grid of every run of one model."""

    model: PageModel
    pictures: Sequence[Picture]
    omitted: int


@dataclass(frozen=True)
class DatasetPart:
    """What does not depend on the protocol: sample grids and losses of one data set."""

    galleries: Sequence[Gallery]
    losses: Sequence[DrawnChart]
    loss_note: str


@dataclass(frozen=True)
class Section:
    """One protocol of one data set."""

    key: str
    id: str
    title: str
    short_title: str
    """The data set and the extractor, with the protocol's id where several protocols share them."""
    heading: str
    metric: str
    """The short name of the headline metric, for the words below grids."""
    badge: str
    badge_kind: str
    verdict: str
    lead: Sequence[str]
    """Sentences below the verdict."""
    evidence: Sequence[str]
    """Sentences below the first screen."""
    pictures: Sequence[Picture]
    epochs: Sequence[int]
    scores: DrawnChart | None
    tiles: Sequence[Tile]
    leaderboard: PageTable
    names: display_tables.DisplayTable | None
    """Short names of models with their settings; None where every label is short."""
    quality: DrawnChart | None
    times: display_tables.DisplayTable | None
    """Time to reach a score; None without intermediate evaluations."""
    rates: DrawnChart | None
    rates_table: display_tables.DisplayTable
    pairs: PageTable | None
    protocol: display_tables.DisplayTable
    models: Sequence[PageModel]
    part: DatasetPart | None = None
    """Of the first protocol of a data set."""
    epoch_scores: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)
    """Scores by epoch of the runs with pictures, as text."""


def section(data: ReportData, key: str, number_: int, models: Models, grids: PageGrids) -> Section:
    """Return the section of a protocol; `data` is of its data set alone."""
    board = data.board(key)
    dataset = str(board["dataset"].iloc[0])
    name = f"s{number_}"
    labels = [str(label) for label in board["label"]]
    sentences = findings.conclusions(data, key)
    badge, kind = certainty(board, sentences[0])
    epoch_scores = _epoch_scores(data, key)
    pictures = hero_pictures(board, dataset, models, grids, epoch_scores)
    shown = [grids.runs[picture.run] for picture in pictures if picture.run in grids.runs]
    first = key == data.protocols[0]
    rest, cost = sentences[1:], findings.cost(data, key) if first else ""
    return Section(
        key=key,
        id=name,
        title=data.protocol_title(key),
        short_title=_short_title(data, key),
        heading=heading([models[label] for label in labels], dataset),
        metric=str(board["title"].iloc[0]).partition(" (")[0],
        badge=badge,
        badge_kind=kind,
        verdict=sentences[0],
        lead=[*separation(data, board, sentences[0]), *(text for text in rest if text.startswith(DISAGREEMENT))],
        evidence=[
            text for text in (*rest, cost, *tradeoffs(data, board)) if text and not text.startswith(DISAGREEMENT)
        ],
        pictures=pictures,
        epochs=sorted({epoch for grid in shown for epoch in grid.frames}),
        scores=_drawn(score_charts.score_axis(data, key, models, f"{name}-chart-scores")),
        tiles=tiles(data, key, models),
        leaderboard=leaderboard_table.leaderboard(data, key, models),
        names=_names(data, [models[label] for label in labels]),
        quality=_drawn(score_charts.quality(data, key, models, f"{name}-chart-quality")),
        times=display_tables.display_time_to_score(data, key),
        rates=_drawn(score_charts.rates(data, key, models, f"{name}-chart-rates")),
        rates_table=display_tables.display_rates(data, key),
        pairs=pairs_table.pairs(data, key, models),
        protocol=display_tables.display_protocol(data, key),
        models=[models[label] for label in labels],
        part=_part(data, name, models, grids, epoch_scores) if first else None,
        epoch_scores=epoch_scores,
    )


def _short_title(data: ReportData, key: str) -> str:
    if not key:
        return data.protocol_title(key)
    extractors = {each: str(data.board(each)["extractor"].iloc[0]) for each in data.protocols if each}
    title = f"{data.datasets[0]}, {extractors[key]}"
    return f"{title} [{key}]" if list(extractors.values()).count(extractors[key]) > 1 else title


def _names(data: ReportData, shown: Sequence[PageModel]) -> display_tables.DisplayTable | None:
    """Return what short names stand for: model, loss, penalty, and a column for each setting that differs."""
    long = [model for model in shown if model.long]
    if not long:
        return None
    first = data.runs.drop_duplicates("label").set_index("label").loc[[model.label for model in long]]
    fixed = ["model", "loss", "penalty"]
    varied = [
        "image_size",
        "batch_size",
        "epochs",
        *(name for name in map(str, first) if name.startswith("setting_")),
    ]
    texts = {
        name: [MISSING if pd.isna(value) else str(value) for value in first[name]] for name in (*fixed, *varied)
    }
    columns = [*fixed, *(name for name in varied if len(set(texts[name])) > 1)]
    headings = ["name", *(name.removeprefix("setting_") for name in columns)]
    rows = [[model.name, *cells] for model, *cells in zip(long, *(texts[name] for name in columns), strict=True)]
    return display_tables.DisplayTable(headings, [False] * len(headings), rows)


def _drawn(chart: Chart | None) -> DrawnChart | None:
    return DrawnChart(chart, static_svg(chart.spec, chart.width)) if chart else None


def _epoch_scores(data: ReportData, key: str) -> dict[str, list[tuple[int, str]]]:
    """Return the headline score of each run by epoch, as text."""
    board = data.board(key)
    scores = data.scores
    own = scores[
        (scores["protocol_id"] == key)
        & (scores["metric"] == board["metric"].iloc[0])
        & (scores["checkpoint"] == "last")
    ]
    means = own.groupby(["run_id", "epoch"])["value"].mean()
    found: dict[str, list[tuple[int, str]]] = {}
    for (run_id, epoch), value in means.items():
        found.setdefault(str(run_id), []).append((int(epoch), number(float(value))))
    return found


def _part(
    data: ReportData,
    name: str,
    models: Models,
    grids: PageGrids,
    scores: Mapping[str, Sequence[tuple[int, str]]],
) -> DatasetPart:
    title = str(data.leaderboard["title"].iloc[0])
    galleries = []
    for label in dict.fromkeys(data.leaderboard["label"]):
        runs = data.runs.loc[data.runs["label"] == label, "run_id"]
        found = [grids.runs[key] for key in runs if key in grids.runs]
        if found:
            model = models[str(label)]
            pictures = [run_picture(grid, model, _detail(grid), title, scores) for grid in found]
            galleries.append(Gallery(model, pictures, len(runs) - len(found)))
    drawn = [
        DrawnChart(chart, static_svg(chart.spec, chart.width))
        for chart in loss_charts.losses(data, models, f"{name}-chart")
    ]
    reported = data.reported()["run_id"].nunique()
    what = "Means over seeds" if reported > MANY_LINES else "A line for each"
    note = f"{what} of the {reported} reported trainings." if reported else ""
    return DatasetPart(galleries, drawn, note)


def _detail(grid: RunGrids) -> str:
    spec = grid.run.spec
    state = "" if grid.run.record.status == "done" else f", {grid.run.record.status}"
    return f"seed {spec.seed}, {rate_text(spec.lr_g, spec.lr_d)}{state}"
