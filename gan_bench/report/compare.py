"""Comparison of two groups of runs under every protocol that scored both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_bench.core.errors import InputError, unknown
from gan_bench.core.records import StoredRun
from gan_bench.report.dataframes import Row, protocol_order, protocol_text, rate_text
from gan_bench.report.formatting import describe_difference, describe_draws, describe_estimate
from gan_bench.report.labels import labels
from gan_bench.report.statistics import Difference, Estimate, compare, estimate
from gan_bench.report.tables.leaderboard import best_rate
from gan_bench.report.tables.summary import QUALITY_CONDITIONS, summary_table
from gan_bench.report.training_scores import training_scores


@dataclass(frozen=True)
class Comparison:
    """A against B under one protocol: both estimates, their difference, and a text."""

    protocol_id: str
    metric: str
    a: Estimate
    b: Estimate
    difference: Difference
    text: str


def compare_runs(a: Sequence[StoredRun], b: Sequence[StoredRun], name_a: str, name_b: str) -> list[Comparison]:
    """Compare two groups, each at its best rate, under each protocol that scored both, main protocol first.

    Raises InputError where a group is empty, holds several configurations (models, losses, penalties, settings),
    or shares no protocol with the other.
    """
    sides = [_best(a, name_a), _best(b, name_b)]
    shared = [key for key in protocol_order([*a, *b]) if key in sides[0] and key in sides[1]]
    if not shared:
        raise InputError(
            f"comparing {name_a} with {name_b}: no protocol scored both; evaluate both on the same data set with "
            "equal --extractors, --eval-samples, --reference-split and --batch-norm"
        )
    return [_comparison(key, *sides[0][key], *sides[1][key], name_a, name_b) for key in shared]


def choose(runs: Sequence[StoredRun], name: str) -> list[StoredRun]:
    """Return the runs whose label in the report is `name`, or else those of the model `name`.

    Raises InputError, with the closest names, where there is none.
    """
    named = labels(runs)
    chosen = [run for run in runs if named[run.record.run_id] == name]
    chosen = chosen or [run for run in runs if name in (run.spec.label, run.spec.model)]
    if not chosen:
        raise unknown("model", name, {*named.values(), *(run.spec.label for run in runs)})
    return chosen


def _best(runs: Sequence[StoredRun], name: str) -> dict[str, tuple[Row, list[float]]]:
    """Return a group's row at its best rate, with its values, for each protocol with a score."""
    if not runs:
        raise InputError(f"comparing {name}: it has no finished run; `gan-bench status` lists all runs")
    scores = training_scores(runs)
    found: dict[str, tuple[Row, list[float]]] = {}
    for key, table in summary_table(scores).groupby("protocol_id"):
        found_labels = sorted(set(table["label"]))
        if len(found_labels) > 1:
            quoted = ", ".join(f'"{label}"' for label in found_labels)
            raise InputError(
                f"comparing {name}: it holds {quoted}, which are not repetitions of one training; name one of them"
            )
        row = best_rate(table)
        match = (scores["protocol_id"] == key) & (scores["lr_g"] == row["lr_g"])
        values = scores.loc[match & (scores["lr_d"] == row["lr_d"]), "value"].dropna()
        if len(values):
            found[str(key)] = (row, [float(value) for value in values])
    return found


def _comparison(
    key: str, row_a: Row, a: list[float], row_b: Row, b: list[float], name_a: str, name_b: str
) -> Comparison:
    title = row_a["title"]
    difference = compare(a, b, row_a["better"], row_a["n_diverged"], row_b["n_diverged"])
    sides = [
        f"{name}: {_side(title, row, values)}." for name, row, values in ((name_a, row_a, a), (name_b, row_b, b))
    ]
    verdict, evidence = describe_difference(title, name_a, name_b, difference)
    text = "\n".join([f"{protocol_text(row_a)}: {verdict}", *sides, evidence, *_confounders(row_a, row_b)])
    return Comparison(key, row_a["metric"], estimate(a), estimate(b), difference, text)


def _side(title: str, row: Row, values: list[float]) -> str:
    choice = f" ({row['rate_choice']})" if row["n_rates"] > 1 else ""
    parts = [
        describe_estimate(title, estimate(values)),
        f"at lr {rate_text(row['lr_g'], row['lr_d'])}{choice}",
        describe_draws(row["n_draws"], row["std_draws"]),
        f"{row['n_diverged']} diverged" if row["n_diverged"] else "",
    ]
    return ", ".join(part for part in parts if part)


def _confounders(row_a: Row, row_b: Row) -> list[str]:
    """Return a sentence about the conditions in which A and B differ, if any."""
    differ = [
        f"{words} ({row_a[key]} against {row_b[key]})"
        for key, words in QUALITY_CONDITIONS.items()
        if row_a[key] != row_b[key]
    ]
    if not differ:
        return []
    return [f"They also differ in {' and '.join(differ)}, which may explain part of a difference."]
