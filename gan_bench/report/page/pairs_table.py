"""The page's table of pairs: who beats whom."""

from __future__ import annotations

from gan_bench.core.numbers import MISSING
from gan_bench.report.decisions import compare_pairs
from gan_bench.report.page.cells import Cell, Column, Models, PageTable
from gan_bench.report.report_data import ReportData
from gan_bench.report.statistics import scale_of
from gan_bench.report.tables.leaderboard import entry_of, undertrained
from gan_bench.report.tables.summary import ENTRY

MAX_PAIRS = 12
"""Models of the table of pairs at most."""


def pairs(data: ReportData, key: str, models: Models) -> PageTable | None:
    """Return who beats whom: of each two models the probability of improvement and what can be claimed.

    None with fewer than two scored models. Models beyond MAX_PAIRS are left out.
    """
    board = data.board(key)
    labels = [str(label) for label in board.loc[board["rank"].notna(), "label"]]
    if len(labels) < 2:
        return None
    scores = data.training_scores[data.training_scores["protocol_id"] == key]
    entries = [entry_of(own) for _, own in scores.groupby(ENTRY, sort=True, dropna=False)]
    entries.sort(key=lambda entry: list(board["label"]).index(entry.row["label"]))
    shown = min(len(labels), MAX_PAIRS)
    metric = board.iloc[0]
    found = compare_pairs(
        [entry.group for entry in entries], metric["better"], scale_of(str(metric["metric"])), shown
    )
    rows = []
    for i in range(shown):
        cells = [Cell(labels[i], model=models[labels[i]])]
        for j in range(shown):
            if i == j:
                cells.append(Cell(MISSING, kind="same"))
                continue
            difference = found[min(i, j), max(i, j)]
            short_trained = all(undertrained(entries[k].row) for k in (i, j))
            chance = difference.probability if i < j else 1 - difference.probability
            cells.append(_pair(difference.certainty, chance, difference.too_few, short_trained))
        rows.append(cells)
    columns = [Column("model", numeric=False), *(Column(models[label].name) for label in labels[:shown])]
    return PageTable(columns, rows, omitted=len(labels) - shown)


def _pair(certainty: str, chance: float, too_few: str, short_trained: bool) -> Cell:
    if certainty == "too few":
        return Cell(MISSING, note=too_few)
    text = "< 0.01" if 0 < chance < 0.01 else f"{chance:.2f}"
    if short_trained:
        return Cell(text, note="no claim (undertrained)")
    if certainty == "unclear":
        return Cell(text, note="not clear")
    return Cell(text, kind="better" if chance > 0.5 else "worse", note="better" if chance > 0.5 else "worse")
