"""First screen of a section: how sure the conclusion is, grids of the models, and tiles of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd

from gan_bench.core.numbers import number, rate_text
from gan_bench.report.page.cells import p_or_dash
from gan_bench.report.page.grids import PageGrids, RunGrids
from gan_bench.report.page.leaderboard_table import arrow, metric_columns
from gan_bench.report.page.models import PageModel
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.leaderboard import difference_of, lost_trainings
from gan_bench.report.tables.summary import COST_CONDITIONS

Models: TypeAlias = "dict[str, PageModel]"
Row: TypeAlias = "pd.Series[Any]"
MAX_HERO = 12
"""Models whose grids the first screen has at most."""
MAX_NAMED = 3
"""Models that a title and a tile name at most."""


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


def heading(shown: Sequence[PageModel], dataset: str) -> str:
    """Return what was compared: `a against b on mnist`, or `12 models on mnist`."""
    if len(shown) <= MAX_NAMED:
        return f"{' against '.join(model.name for model in shown)} on {dataset}"
    return f"{len(shown)} models on {dataset}"


def certainty(board: pd.DataFrame, verdict: str) -> tuple[str, str]:
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
    p = p_or_dash(found.p_value)
    if found.certainty == "clear":
        return f"Clear at 95%: p = {p}".replace("= <", "<"), "good"
    return f"Not clear: p = {p}", "weak"


def separation(data: ReportData, board: pd.DataFrame, verdict: str) -> list[str]:
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


def tradeoffs(data: ReportData, board: pd.DataFrame) -> list[str]:
    """Return the models that no other beats in both the score and the training time (the Pareto front).

    Empty with fewer than three scored models, or where their times are not comparable.
    """
    rows = board[board["rank"].notna() & board["train_seconds_per_run"].notna()]
    costs = data.costs[data.costs["label"].isin(rows["label"])]
    if len(rows) < MAX_NAMED or any(costs[key].nunique() > 1 for key in COST_CONDITIONS):
        return []
    sign = 1 if board["better"].iloc[0] == "lower" else -1
    ordered = sorted(zip(sign * rows["mean"], rows["train_seconds_per_run"], rows["label"], strict=True))
    front, fastest = [], math.inf
    for score, seconds, label in ordered:
        if seconds < fastest:
            front.append(f"{label} ({number(sign * score)} in {_seconds(seconds)})")
            fastest = seconds
    title = board["title"].iloc[0]
    return [f"Mean {title} and training time of the models that no other beats in both: {', '.join(front)}."]


def hero_pictures(
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
        pictures.append(run_picture(grid, models[label], models[label].name, title, scores))
    return pictures


def run_picture(
    grid: RunGrids,
    model: PageModel,
    heading_: str,
    title: str,
    scores: Mapping[str, Sequence[tuple[int, str]]],
) -> Picture:
    """Return the last grid of a run as a picture; `heading_` is above it, its score below."""
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


def tiles(data: ReportData, key: str, models: Models) -> list[Tile]:
    """Return tiles of quality, precision, recall and time: all models' values for a few, else the best one's."""
    board = data.board(key)
    first = board.iloc[0]
    directions = {metric: better for metric, _, better in metric_columns(data, key)}
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
        tiles.append(Tile(f"{title} {arrow(better)}", column, values, note))
    return tiles


def _seconds(seconds: float) -> str:
    for unit, factor in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 3 * factor:
            return f"{number(seconds / factor)} {unit}"
    return f"{number(seconds)} s"
