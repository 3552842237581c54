"""Two groups of runs against each other, under every protocol that both were scored with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from gan_bench.errors import InputError, unknown
from gan_bench.record import StoredRun
from gan_bench.report.frame import Row, labels, rate_text
from gan_bench.report.results import results_frame
from gan_bench.report.statistics import Difference, Estimate, compare, estimate
from gan_bench.report.tables import QUALITY_CONDITIONS, best_rate, summary_table
from gan_bench.report.words import difference_words, estimate_words


@dataclass(frozen=True)
class Comparison:
    """A against B under one protocol: both estimates, their difference, and plain words."""

    protocol_id: str
    metric: str
    a: Estimate
    b: Estimate
    difference: Difference
    text: str


def compare_runs(a: Sequence[StoredRun], b: Sequence[StoredRun], name_a: str, name_b: str) -> list[Comparison]:
    """Compare two groups, each at its best rate, under each protocol they share; never across protocols.

    Raises InputError where a group is empty, holds several trainings that are no repetition of one another
    (other models, losses, settings), or shares no protocol with the other.
    """
    sides = [_best(a, name_a), _best(b, name_b)]
    shared = [key for key in sides[0] if key in sides[1]]
    if not shared:
        raise InputError(
            f"comparing {name_a} with {name_b}: no protocol scored both; train both with the same data, "
            "--extractors and --eval-samples"
        )
    return [_comparison(key, *sides[0][key], *sides[1][key], name_a, name_b) for key in shared]


def choose(runs: Sequence[StoredRun], name: str) -> list[StoredRun]:
    """Return the runs that a table calls `name`, settings included, or else those of the model of that name.

    Raises InputError, with names to type instead, where there is none.
    """
    called = labels(runs)
    chosen = [run for run in runs if called[run.record.run_id] == name]
    chosen = chosen or [run for run in runs if name in (run.spec.label, run.spec.model)]
    if not chosen:
        raise unknown("model", name, {*called.values(), *(run.spec.label for run in runs)})
    return chosen


def _best(runs: Sequence[StoredRun], name: str) -> dict[str, tuple[Row, list[float]]]:
    """Return a group's row at its best rate, with its values, for each protocol with a score."""
    if not runs:
        raise InputError(f"comparing {name}: there is no finished run of it; gan-bench status shows what there is")
    results = results_frame(runs)
    found: dict[str, tuple[Row, list[float]]] = {}
    for key, table in summary_table(results).groupby("protocol_id"):
        found_labels = sorted(set(table["label"]))
        if len(found_labels) > 1:
            quoted = ", ".join(f'"{label}"' for label in found_labels)
            raise InputError(
                f"comparing {name}: it holds {quoted}, which are not repetitions of one training; name one of them"
            )
        row = best_rate(table)
        match = (results["protocol_id"] == key) & (results["lr_g"] == row["lr_g"])
        values = results.loc[match & (results["lr_d"] == row["lr_d"]), "value"].dropna()
        if len(values):
            found[str(key)] = (row, [float(value) for value in values])
    return found


def _comparison(
    key: str, row_a: Row, a: list[float], row_b: Row, b: list[float], name_a: str, name_b: str
) -> Comparison:
    title = row_a["title"]
    difference = compare(a, b, row_a["better"], row_a["n_diverged"], row_b["n_diverged"])
    sides = [
        f"{name}: {estimate_words(title, estimate(values))}, at lr {rate_text(row['lr_g'], row['lr_d'])}"
        + (f" ({row['rate_choice']})" if row["n_rates"] > 1 else "")
        + (f", {row['n_diverged']} diverged" if row["n_diverged"] else "")
        + "."
        for name, row, values in ((name_a, row_a, a), (name_b, row_b, b))
    ]
    verdict, evidence = difference_words(title, name_a, name_b, difference)
    where = f"{row_a['dataset']}, {row_a['extractor']}, {_counts(row_a)} [{key}]"
    text = "\n".join([f"{where}: {verdict}", *sides, evidence, *_unlike(row_a, row_b)])
    return Comparison(key, row_a["metric"], estimate(a), estimate(b), difference, text)


def _unlike(row_a: Row, row_b: Row) -> list[str]:
    """Return a sentence on what else A and B differ in, where they do."""
    differ = [
        f"{words} ({row_a[key]} against {row_b[key]})"
        for key, words in QUALITY_CONDITIONS.items()
        if row_a[key] != row_b[key]
    ]
    if not differ:
        return []
    return [f"They differ in {' and '.join(differ)}, too: part of a difference may come from there."]


def _counts(row: Row) -> str:
    if pd.isna(row["n_fake"]):
        return "not scored"
    return f"{int(row['n_fake']):,} generated against {int(row['n_real']):,} real"
