"""ReportData: the dataframes of one report, computed once and passed to every plot and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import seaborn as sns

from gan_bench.core.errors import InputError
from gan_bench.core.records import LeftOut, StoredRun
from gan_bench.report.dataframes import epochs_frame, protocol_order, protocol_text, runs_frame, scores_frame
from gan_bench.report.tables.costs import costs_table
from gan_bench.report.tables.leaderboard import leaderboard_table
from gan_bench.report.tables.summary import summary_table
from gan_bench.report.training_scores import training_scores


@dataclass(frozen=True)
class ReportData:
    """Runs, their dataframes, and one color per label: the input of plots and pages.

    Plots and pages get the data of one data set at a time, see `by_dataset`: what they show mixes no two.
    """

    stored: Sequence[StoredRun]
    runs: pd.DataFrame
    scores: pd.DataFrame
    epochs: pd.DataFrame
    training_scores: pd.DataFrame
    """One row per training and protocol; `reported` marks those that the leaderboard is of."""
    summary: pd.DataFrame
    leaderboard: pd.DataFrame
    costs: pd.DataFrame
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

    def reported(self) -> pd.DataFrame:
        """Return the training scores that the leaderboard is of: one training per seed, at the chosen rate."""
        return self.training_scores[self.training_scores["reported"]]

    @property
    def datasets(self) -> list[str]:
        """The data sets, that of the main protocol first."""
        scored = self.training_scores.drop_duplicates("protocol_id").set_index("protocol_id")["dataset"]
        first = [str(scored[key]) for key in self.protocols if key]
        return list(dict.fromkeys([*first, *sorted(self.runs["dataset"].unique())]))

    def by_dataset(self) -> list[ReportData]:
        """Return the data of each data set on its own, in the order of `datasets`."""
        names = self.datasets
        return [self] if len(names) == 1 else [self._of(name) for name in names]

    def _of(self, name: str) -> ReportData:
        frames = ("runs", "scores", "epochs", "training_scores", "summary", "leaderboard", "costs")
        own: dict[str, Any] = {frame: _where(getattr(self, frame), name) for frame in frames}
        keys = set(own["training_scores"]["protocol_id"])
        return replace(
            self,
            stored=[run for run in self.stored if run.spec.dataset == name],
            protocols=[key for key in self.protocols if key in keys],
            **own,
        )


def _where(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[frame["dataset"] == name].reset_index(drop=True) if "dataset" in frame else frame


def report_data(runs: Sequence[StoredRun], left_out: Sequence[LeftOut] = ()) -> ReportData:
    """Compute the dataframes of a report; raise InputError without runs."""
    if not runs:
        raise InputError("no run has a result yet: train some with `gan-bench run`, then report them")
    stored = sorted(runs, key=lambda run: run.record.run_id)
    frame = runs_frame(stored)
    scores, costs = training_scores(stored), costs_table(frame)
    protocols = protocol_order(stored) + ([""] if (scores["protocol_id"] == "").any() else [])
    position = {key: index for index, key in enumerate(protocols)}
    leaderboard, reported = leaderboard_table(scores, costs)
    return ReportData(
        stored=stored,
        runs=frame,
        scores=scores_frame(stored),
        epochs=epochs_frame(stored),
        training_scores=scores.assign(reported=scores.index.isin(reported)),
        summary=summary_table(scores),
        leaderboard=leaderboard.sort_values(
            "protocol_id", key=lambda keys: keys.map(position), kind="stable", ignore_index=True
        ),
        costs=costs,
        protocols=protocols,
        colors=_colors(sorted(frame["label"].unique())),
        left_out=left_out,
    )


def _colors(labels: Sequence[str]) -> dict[str, str]:
    """Return a color per label: a color-blind safe palette for up to ten, beyond that evenly spaced hues."""
    count = len(labels)
    palette = sns.color_palette("colorblind") if count <= 10 else sns.husl_palette(count, l=0.55)
    return dict(zip(labels, palette.as_hex(), strict=False))
