"""All tables of one report, made once and handed to every plot and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import seaborn as sns

from gan_bench.errors import InputError
from gan_bench.record import StoredRun
from gan_bench.report.frame import epochs_frame, runs_frame, scores_frame
from gan_bench.report.results import protocol_order, results_frame
from gan_bench.report.tables import leaderboard_table, summary_table


@dataclass(frozen=True)
class ReportData:
    """What plots and pages show: the runs, their tables, and one colour a model."""

    stored: Sequence[StoredRun]
    runs: pd.DataFrame
    scores: pd.DataFrame
    epochs: pd.DataFrame
    results: pd.DataFrame
    summary: pd.DataFrame
    leaderboard: pd.DataFrame
    protocols: Sequence[str]
    """Protocol ids, the main one first."""
    colours: Mapping[str, str]
    """A label's colour, the same in every plot."""

    def board(self, protocol_id: str) -> pd.DataFrame:
        """Return the leaderboard of one protocol, best first."""
        return self.leaderboard[self.leaderboard["protocol_id"] == protocol_id]

    def protocol_title(self, protocol_id: str, two_lines: bool = False) -> str:
        """Return a protocol's data set, extractor and counts in words, unique through its id."""
        row = self.results[self.results["protocol_id"] == protocol_id].iloc[0]
        if not protocol_id:
            return f"{row['dataset']}, not scored"
        if two_lines:
            counts = f"{int(row['n_fake']):,} generated / {int(row['n_real']):,} real"
            return f"{row['dataset']}, {row['extractor']}\n{counts} [{protocol_id}]"
        counts = f"{int(row['n_fake']):,} generated against {int(row['n_real']):,} real"
        return f"{row['dataset']}, {row['extractor']}, {counts} [{protocol_id}]"

    def at_best_rate(self) -> pd.DataFrame:
        """Return the results of each label at the rate that its leaderboard row is about."""
        keys = ["label", "dataset", "protocol_id", "lr_g", "lr_d"]
        return self.results.merge(self.leaderboard[keys], on=keys)


def report_data(runs: Sequence[StoredRun]) -> ReportData:
    """Make every table of a report; raise InputError where there is no run at all."""
    if not runs:
        raise InputError("a report was asked for, but there is no finished run: start some with gan-bench run")
    stored = sorted(runs, key=lambda run: run.record.run_id)
    results = results_frame(stored)
    summary = summary_table(results)
    leaderboard = leaderboard_table(summary, results)
    order = protocol_order(stored, results)
    places = leaderboard["protocol_id"].map({key: index for index, key in enumerate(order)})
    leaderboard = leaderboard.assign(place=places).sort_values("place", kind="stable", ignore_index=True)
    frame = runs_frame(stored)
    return ReportData(
        stored=stored,
        runs=frame,
        scores=scores_frame(stored),
        epochs=epochs_frame(stored),
        results=results,
        summary=summary,
        leaderboard=leaderboard.drop(columns="place"),
        protocols=order,
        colours=_colours(sorted(frame["label"].unique())),
    )


def _colours(labels: Sequence[str]) -> dict[str, str]:
    """Give each label a colour that colour-blind readers can tell apart; beyond ten, evenly spaced hues."""
    count = len(labels)
    palette = sns.color_palette("colorblind") if count <= 10 else sns.husl_palette(count, l=0.55)
    return dict(zip(labels, palette.as_hex(), strict=False))
