"""Leaderboards as LaTeX tables, in the style of booktabs."""

from __future__ import annotations

import math

import pandas as pd

from gan_bench.core.errors import printable
from gan_bench.core.numbers import MISSING, number
from gan_bench.report.dataframes import CHECKS
from gan_bench.report.formatting import count_text
from gan_bench.report.page.leaderboard_table import clearly_best, metric_columns
from gan_bench.report.report_data import ReportData

HEAD = r"""% Leaderboards of gan-bench. In the preamble: \usepackage{booktabs}
% Bold: best, and clearly better than the second, at 5% over the whole table.
"""
ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$"}
ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        MISSING: "--",
        "\n": " ",
        **{char: f"\\{char}" for char in "&%$#_{}"},
    }
)


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is; control characters are shown as escapes."""
    return printable(text).translate(ESCAPES)


def render_latex(data: ReportData) -> str:
    """Return one table for each protocol that scored a run."""
    protocols = [(part, key) for part in data.by_dataset() for key in part.protocols if key]
    tables = [_table(part, key) for part, key in protocols if part.board(key)["rank"].notna().any()]
    return "\n".join([HEAD, *tables])


def _table(data: ReportData, key: str) -> str:
    board = data.board(key)
    metrics = [column for column in metric_columns(data, key) if column[0] not in CHECKS]
    best = {metric: clearly_best(data, key, metric, better) for metric, _, better in metrics}
    columns: dict[str, list[str]] = {"model": [_first_cell(str(label)) for label in board["label"]]}
    for metric, title, better in metrics:
        cells = [
            f"\\textbf{{{_number(value)}}}" if best[metric] == label else _number(value)
            for label, value in zip(board["label"], board[metric], strict=True)
        ]
        columns[f"{escaped(title)} {ARROWS[better]}"] = cells
        if metric == board["metric"].iloc[0]:
            columns[r"95\% interval"] = [_interval(row) for _, row in board.iterrows()]
    columns["trainings"] = [_trainings(row) for _, row in board.iterrows()]
    columns["training [s]"] = [_number(value) for value in board["train_seconds_per_run"]]
    footer = _reference(data, key, metrics, list(columns))
    frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(footer, columns=list(columns))], ignore_index=True)
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" + "r" * (len(columns) - 1),
        position="t",
        position_float="centering",
        caption=f"GANs on {escaped(str(board['dataset'].iloc[0]))}.",
        label=f"tab:{escaped(key)}",
    )
    lines = text.splitlines()
    if footer:
        lines.insert(lines.index("\\bottomrule") - len(footer), "\\midrule")
    note = f"Protocol: {data.protocol_title(key)}. Intervals are of the mean over trainings."
    lines.insert(len(lines) - 1, f"\\par\\smallskip\\footnotesize {escaped(note)}")
    return "\n".join(lines) + "\n"


def _first_cell(label: str) -> str:
    # a star or bracket after the end of a row would be read as its argument
    return f"{{}}{escaped(label)}" if label.startswith(("[", "*")) else escaped(label)


def _number(value: float) -> str:
    text = number(value)
    return f"$-${text[1:]}" if text.startswith("-") else escaped(text)


def _interval(row: pd.Series) -> str:
    if pd.isna(row["interval_low"]):
        return escaped(MISSING)
    return f"{_number(row['interval_low'])} to {_number(row['interval_high'])}"


def _trainings(row: pd.Series) -> str:
    text = count_text(int(row["n"]), int(row["n_diverged"]), int(row["n_failed"]))
    return escaped(text.replace(" trainings", "").replace(" training", ""))


def _reference(
    data: ReportData, key: str, metrics: list[tuple[str, str, str]], headings: list[str]
) -> list[list[str]]:
    """Return the row of real images, where there is one."""
    own = data.scores[(data.scores["protocol_id"] == key) & data.scores["real_reference"].notna()]
    values = own.drop_duplicates("metric").set_index("metric")["real_reference"]
    if values.empty:
        return []
    by_heading = {
        f"{escaped(title)} {ARROWS[better]}": _number(values.get(metric, math.nan))
        for metric, title, better in metrics
    }
    return [["real images", *(by_heading.get(heading, "") for heading in headings[1:])]]
