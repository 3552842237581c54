"""Sections of the page: one for each protocol, with its first screen, charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pandas as pd
from markupsafe import Markup

from gan_bench.core.numbers import number, rate_text
from gan_bench.report import findings
from gan_bench.report.page import cells, charts
from gan_bench.report.page.charts import Chart
from gan_bench.report.page.embed import static_svg
from gan_bench.report.page.grids import PageGrids, RunGrids
from gan_bench.report.page.models import PageModel
from gan_bench.report.plotting import MANY_LINES
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables import display_tables
from gan_bench.report.tables.leaderboard import difference_of, lost_trainings

Models: TypeAlias = "dict[str, PageModel]"
Row: TypeAlias = "pd.Series[Any]"

DISAGREEMENT = "Not all agree"
"""How a sentence on metrics that disagree with the headline starts."""
MAX_HERO = 12
"""Models whose grids the first screen has at most."""
MAX_NAMED = 3
"""Models that a title and a tile name at most."""


@dataclass(frozen=True)
class DrawnChart:
    """A chart with its static version."""

    chart: Chart
    svg: Markup


@dataclass(frozen=True)
class Picture:
    """A grid of images on the page; its other epochs are in the data block under `run`."""

    uri: str
    alt: str
    title: str
    model: PageModel | None = None
    run: str = ""
    epoch: int = 0
    score: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Tile:
    """One number of each model in the first screen, linked to its column of the leaderboard."""

    title: str
    column: str
    values: Sequence[tuple[PageModel, str]]
    note: str


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
    leaderboard: cells.PageTable
    quality: DrawnChart | None
    rates: DrawnChart | None
    rates_table: display_tables.DisplayTable
    pairs: cells.PageTable | None
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
    badge, kind = _badge(board, sentences[0])
    epoch_scores = _epoch_scores(data, key)
    pictures = _hero(board, dataset, models, grids, epoch_scores)
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
        lead=[*_separation(data, board, sentences[0]), *(text for text in rest if text.startswith(DISAGREEMENT))],
        evidence=[text for text in (*rest, cost) if text and not text.startswith(DISAGREEMENT)],
        pictures=pictures,
        epochs=sorted({epoch for grid in shown for epoch in grid.frames}),
        scores=_drawn(charts.score_axis(data, key, models, f"{name}-chart-scores")),
        tiles=_tiles(data, key, models),
        leaderboard=cells.leaderboard(data, key, models),
        quality=_drawn(charts.quality(data, key, models, f"{name}-chart-quality")),
        rates=_drawn(charts.rates(data, key, models, f"{name}-chart-rates")),
        rates_table=display_tables.display_rates(data, key),
        pairs=cells.pairs(data, key, models),
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


def heading(shown: Sequence[PageModel], dataset: str) -> str:
    """Return what was compared: `a against b on mnist`, or `12 models on mnist`."""
    if len(shown) <= MAX_NAMED:
        return f"{' against '.join(model.name for model in shown)} on {dataset}"
    return f"{len(shown)} models on {dataset}"


def _drawn(chart: Chart | None) -> DrawnChart | None:
    return DrawnChart(chart, static_svg(chart.spec, chart.width)) if chart else None


def _badge(board: pd.DataFrame, verdict: str) -> tuple[str, str]:
    """Return how sure the conclusion is, in a few words, and its CSS class."""
    ranked = board[board["rank"].notna()]
    if ranked.empty:
        return "No scores", "bad"
    if verdict.startswith("No winner"):
        return "No winner", "weak"
    if len(ranked) == 1:
        return "One model: no comparison", "weak"
    found = difference_of(ranked.iloc[0], ranked.iloc[1])
    if found.certainty == "too few":
        text = found.too_few
        return text[0].upper() + text[1:], "weak"
    p = cells._p(found.p_value)
    if found.certainty == "clear":
        return f"Clear at 95%: p = {p}".replace("= <", "<"), "good"
    return f"Not clear: p = {p}", "weak"


def _separation(data: ReportData, board: pd.DataFrame, verdict: str) -> list[str]:
    """Return how the trainings of the two best models compare, where no claim is made of them."""
    ranked = board[board["rank"].notna()]
    if (
        len(ranked) < 2
        or verdict.startswith("No winner")
        or any(lost_trainings(row) for _, row in ranked.iterrows())
    ):
        return []
    a, b = ranked.iloc[0], ranked.iloc[1]
    reported = data.reported()
    own = reported[reported["protocol_id"] == a["protocol_id"]]
    sign = 1 if a["better"] == "lower" else -1
    first, second = (sign * own.loc[own["label"] == row["label"], "value"].dropna() for row in (a, b))
    if min(len(first), len(second)) < 2:
        return []
    wins = int((first.to_numpy()[:, None] < second.to_numpy()[None, :]).sum())
    if wins == len(first) * len(second):
        return [
            f"Each of the {len(first)} trainings of {a['label']} scores better than each of the {len(second)} "
            f"of {b['label']}."
        ]
    return [f"{a['label']} scores better in {wins} of {len(first) * len(second)} pairs of trainings."]


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


def _hero(
    board: pd.DataFrame,
    dataset: str,
    models: Models,
    grids: PageGrids,
    scores: Mapping[str, Sequence[tuple[int, str]]],
) -> list[Picture]:
    """Return real images and the last grid of each model's typical run."""
    pictures = []
    if dataset in grids.real:
        pictures.append(Picture(grids.real[dataset], f"real images of {dataset}", f"real {dataset}"))
    title = str(board["title"].iloc[0])
    for label in board["label"]:
        grid = grids.runs.get(grids.typical.get((dataset, str(label)), ""))
        if grid is None or len(pictures) > MAX_HERO:
            continue
        pictures.append(_picture(grid, models[label], models[label].name, title, scores))
    return pictures


def _picture(
    grid: RunGrids,
    model: PageModel,
    heading_: str,
    title: str,
    scores: Mapping[str, Sequence[tuple[int, str]]],
) -> Picture:
    spec, record = grid.run.spec, grid.run.record
    rate = rate_text(spec.lr_g, spec.lr_d)
    detail = f"seed {spec.seed}, lr {rate}" + ("" if record.status == "done" else f", {record.status}")
    last = [text for epoch, text in scores.get(record.run_id, []) if epoch <= grid.last]
    return Picture(
        uri=grid.frames[grid.last],
        alt=f"images by {model.label}, {detail}, epoch {grid.last}",
        title=heading_,
        model=model,
        run=record.run_id,
        epoch=grid.last,
        score=f"{title.partition(' (')[0]} {last[-1]}" if last else "",
        detail=detail,
    )


TILES = (
    ("precision", "Looks real: precision"),
    ("recall", "Variety: recall"),
    ("train_seconds_per_run", "Training time of a run"),
)


def _tiles(data: ReportData, key: str, models: Models) -> list[Tile]:
    """Return tiles of quality, precision, recall and time: all models' values for a few, else the best one's."""
    board = data.board(key)
    first = board.iloc[0]
    directions = {metric: better for metric, _, better in cells.metric_columns(data, key)}
    wanted = [(str(first["metric"]), f"Quality: {first['title']}"), *TILES]
    tiles = []
    for column, title in dict(wanted).items():
        if column not in board or board[column].notna().sum() == 0:
            continue
        better = directions.get(column, "lower")
        rows = board[board[column].notna()].sort_values(column, ascending=better == "lower", kind="stable")
        text = _seconds if column == "train_seconds_per_run" else number
        few = len(board) <= MAX_NAMED
        chosen = board[board[column].notna()] if few else rows.head(1)
        values = [(models[row["label"]], text(float(row[column]))) for _, row in chosen.iterrows()]
        note = "" if few else f"best of {len(rows)}; worst {text(float(rows[column].iloc[-1]))}"
        if few and len(rows) > 1 and column == "train_seconds_per_run" and rows[column].iloc[0] > 0:
            factor = float(rows[column].iloc[-1] / rows[column].iloc[0])
            note = f"{models[rows['label'].iloc[0]].name} is {number(factor)} times as fast"
        if column == first["metric"] and not pd.isna(first["real_reference"]):
            note = "; ".join(filter(None, [note, f"real images {number(float(first['real_reference']))}"]))
        tiles.append(Tile(f"{title} {cells.arrow(better)}", column, values, note))
    return tiles


def _seconds(seconds: float) -> str:
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 3 * factor:
            return f"{number(seconds / factor)} {unit}"
    return f"{number(seconds)} s"


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
            pictures = [_picture(grid, model, _detail(grid), title, scores) for grid in found]
            galleries.append(Gallery(model, pictures, len(runs) - len(found)))
    drawn = [
        DrawnChart(chart, static_svg(chart.spec, chart.width))
        for chart in charts.losses(data, models, f"{name}-chart")
    ]
    reported = data.reported()["run_id"].nunique()
    what = "Means over seeds" if reported > MANY_LINES else "A line for each"
    note = f"{what} of the {reported} reported trainings." if reported else ""
    return DatasetPart(galleries, drawn, note)


def _detail(grid: RunGrids) -> str:
    spec = grid.run.spec
    state = "" if grid.run.record.status == "done" else f", {grid.run.record.status}"
    return f"seed {spec.seed}, {rate_text(spec.lr_g, spec.lr_d)}{state}"
