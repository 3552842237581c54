"""Comparison of two groups of runs under every protocol that scored both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gan_bench.core.errors import InputError, unknown
from gan_bench.core.records import StoredRun
from gan_bench.report.dataframes import Row, protocol_order, protocol_text
from gan_bench.report.decisions import Difference, a_is_better, compare_first
from gan_bench.report.formatting import describe_difference, describe_draws, describe_estimate
from gan_bench.report.labels import labels
from gan_bench.report.statistics import Estimate, estimate, scale_of
from gan_bench.report.tables.leaderboard import Entry, entry_of, undertrained
from gan_bench.report.tables.summary import QUALITY_CONDITIONS, VERDICTS
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
    a_is_worse: bool
    """Whether A is clearly worse than B."""


def compare_runs(a: Sequence[StoredRun], b: Sequence[StoredRun], name_a: str, name_b: str) -> list[Comparison]:
    """Compare two groups, each at its chosen rate, under each protocol that scored both, main protocol first.

    Raises InputError where a group is empty, holds several configurations (models, losses, penalties, settings),
    or shares no protocol with the other.
    """
    sides = [_entries(a, name_a), _entries(b, name_b)]
    shared = [key for key in protocol_order([*a, *b]) if key in sides[0] and key in sides[1]]
    for runs, name in ((a, name_a), (b, name_b)):
        if not any(run.record.status == "done" for run in runs):
            lost = Counter(run.record.status for run in runs)
            counts = " and ".join(f"{count} {status}" for status, count in sorted(lost.items()))
            raise InputError(f"comparing {name}: no training of it has a score; {counts}")
    if not shared:
        raise InputError(
            f"comparing {name_a} with {name_b}: no protocol scored both; evaluate both on the same data set with "
            "equal --extractors, --eval-samples, --reference-split and --batch-norm"
        )
    return [_comparison(key, sides[0][key], sides[1][key], name_a, name_b) for key in shared]


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


def _entries(runs: Sequence[StoredRun], name: str) -> dict[str, Entry]:
    """Return a group's trainings at its chosen rate, for each protocol with a score."""
    if not runs:
        raise InputError(f"comparing {name}: it has no finished run; `gan-bench status` lists all runs")
    found: dict[str, Entry] = {}
    for key, table in training_scores(runs).groupby("protocol_id"):
        found_labels = sorted(set(table["label"]))
        if len(found_labels) > 1 and key:
            quoted = ", ".join(f'"{label}"' for label in found_labels)
            raise InputError(
                f"comparing {name}: it holds {quoted}, which are not repetitions of one training; name one of them"
            )
        entry = entry_of(table)
        if len(entry.group.values):
            found[str(key)] = entry
    return found


def _comparison(key: str, a: Entry, b: Entry, name_a: str, name_b: str) -> Comparison:
    title, scale = a.row["title"], scale_of(a.row["metric"])
    (difference,) = compare_first([a.group, b.group], a.row["better"], scale)
    verdict, evidence = describe_difference(title, name_a, name_b, difference)
    if undertrained(a.row) and undertrained(b.row):
        verdict, evidence = "No winner: every scored training of both was judged undertrained.", ""
    found = [estimate(side.group.values, scale, side.group.contenders) for side in (a, b)]
    sides = [f"{name_a}: {_side(a.row, found[0])}.", f"{name_b}: {_side(b.row, found[1])}."]
    lines = [f"{protocol_text(a.row)}: {verdict}", *sides, evidence, *_confounders(a.row, b.row)]
    worse = difference.certainty == "clear" and not a_is_better(difference)
    return Comparison(key, a.row["metric"], found[0], found[1], difference, "\n".join(filter(None, lines)), worse)


def _side(row: Row, values: Estimate) -> str:
    choice = f" ({row['rate_choice']})" if row["n_rates"] > 1 else ""
    parts = [
        describe_estimate(row["title"], values, row["n_diverged"], row["n_failed"]),
        f"at lr {row['rate']}{choice}",
        describe_draws(row["n_draws"], row["std_draws"]),
        *(f"{row[f'n_{verdict}']} {verdict}" for verdict in VERDICTS if row[f"n_{verdict}"]),
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
