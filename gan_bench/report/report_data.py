"""ReportData: the dataframes of one report, computed once and passed to every plot and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import seaborn as sns

from gan_bench.core.errors import InputError
from gan_bench.core.records import LeftOut, StoredRun
from gan_bench.report.dataframes import epochs_frame, protocol_order, protocol_text, runs_frame, scores_frame
from gan_bench.report.tables.leaderboard import KEY, leaderboard_table
from gan_bench.report.tables.summary import summary_table
from gan_bench.report.training_scores import training_scores


@dataclass(frozen=True)
class ReportData:
    """Runs, their dataframes, and one color per label: the input of plots and pages."""

    stored: Sequence[StoredRun]
    runs: pd.DataFrame
    scores: pd.DataFrame
    epochs: pd.DataFrame
    training_scores: pd.DataFrame
    summary: pd.DataFrame
    leaderboard: pd.DataFrame
    protocols: Sequence[str]
    """Protocol ids, the main one first; the empty id of runs that no protocol scored is last."""
    colors: Mapping[str, str]
    """A label's color, the same in every plot."""
    left_out: Sequence[LeftOut] = ()
    """Runs of the folder whose files are damaged."""

    def board(self, protocol_id: str) -> pd.DataFrame:
        """Return the leaderboard of one protocol, best first."""
        return self.leaderboard[self.leaderboard["protocol_id"] == protocol_id]

    def protocol_title(self, protocol_id: str, two_lines: bool = False) -> str:
        """Return a protocol as text; see `protocol_text`."""
        rows = self.training_scores
        row = rows[rows["protocol_id"] == protocol_id].iloc[0]
        return protocol_text(row, two_lines) if protocol_id else f"{row['dataset']}, not scored"

    def at_best_rate(self) -> pd.DataFrame:
        """Return the training scores of each label at the rate of its leaderboard row."""
        return self.training_scores.merge(self.leaderboard[KEY], on=KEY)


def report_data(runs: Sequence[StoredRun], left_out: Sequence[LeftOut] = ()) -> ReportData:
    """Compute the dataframes of a report; raise InputError without runs."""
    if not runs:
        raise InputError("no run has a result yet: train some with `gan-bench run`, then report them")
    stored = sorted(runs, key=lambda run: run.record.run_id)
    scores = training_scores(stored)
    summary = summary_table(scores)
    protocols = protocol_order(stored) + ([""] if (scores["protocol_id"] == "").any() else [])
    position = {key: index for index, key in enumerate(protocols)}
    leaderboard = leaderboard_table(summary, scores).sort_values(
        "protocol_id", key=lambda keys: keys.map(position), kind="stable", ignore_index=True
    )
    frame = runs_frame(stored)
    return ReportData(
        stored=stored,
        runs=frame,
        scores=scores_frame(stored),
        epochs=epochs_frame(stored),
        training_scores=scores,
        summary=summary,
        leaderboard=leaderboard,
        protocols=protocols,
        colors=_colors(sorted(frame["label"].unique())),
        left_out=left_out,
    )


def _colors(labels: Sequence[str]) -> dict[str, str]:
    """Return a color per label: a color-blind safe palette for up to ten, beyond that evenly spaced hues."""
    count = len(labels)
    palette = sns.color_palette("colorblind") if count <= 10 else sns.husl_palette(count, l=0.55)
    return dict(zip(labels, palette.as_hex(), strict=False))
