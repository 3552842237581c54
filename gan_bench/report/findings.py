"""Findings in sentences: conclusions under each protocol, costs and warnings."""

from __future__ import annotations

from typing import Any, TypeAlias

import pandas as pd

from gan_bench.core.numbers import number
from gan_bench.report.dataframes import CHECKS
from gan_bench.report.decisions import compare
from gan_bench.report.formatting import describe_difference, describe_estimate, trainings
from gan_bench.report.report_data import ReportData
from gan_bench.report.statistics import Estimate, scale_of
from gan_bench.report.tables.costs import costs_of
from gan_bench.report.tables.leaderboard import difference_of, undertrained
from gan_bench.report.tables.summary import COST_CONDITIONS

Series: TypeAlias = "pd.Series[Any]"

VERSUS_BEST = {
    "worse": "clearly worse",
    "tie": "can't be told apart",
    "too few": "no claim (too few seeds)",
    "undertrained": "no claim (undertrained)",
}
DISQUALIFYING = ("memorised", "collapsed")
"""Verdicts that no good score makes up for."""


def warning(data: ReportData) -> str:
    """Return the warning above all results: nothing was scored, or training was short; empty without one."""
    done = data.runs[data.runs["status"] == "done"]
    if done.empty:
        return "No run finished: there are no scores, only the reasons below."
    short = int((done["verdict"] == "undertrained").sum())
    if short == len(done):
        return (
            "Training was short: every finished run was judged undertrained. These numbers show that the "
            "benchmark works, not which model is better once trained."
        )
    if short * 2 >= len(done):
        return f"Training was short: {short} of {len(done)} finished runs were judged undertrained."
    return ""


def conclusions(data: ReportData, protocol_id: str) -> list[str]:
    """Return the conclusions of one protocol's leaderboard: which model is better, by how much, how certain."""
    board = data.board(protocol_id)
    ranked = board[board["rank"].notna()]
    if ranked.empty:
        return [f"Nothing was scored under this protocol.{_lost(board)}"]
    best = ranked.iloc[0]
    lost, reference = _lost(board), _real_reference(best)
    means = f"{best['label']}: {_estimate(best)}, at lr {best['rate']}."
    if len(ranked) == 1:
        hint = f"There is nothing to compare it with: train a second model.{reference}"
        return [f"{means}{lost}", hint, *_spreads(ranked)]
    second = ranked.iloc[1]
    verdict, evidence = _verdict(best, second)
    means += f" {second['label']}: {_estimate(second)}, at lr {second['rate']}.{reference}"
    sentences = [f"{verdict}{lost}", *_disagreements(data, protocol_id, ranked), means, *evidence]
    sentences += _spreads(ranked)
    if len(ranked) > 2:
        sentences.append(_others(ranked))
    return sentences


def _verdict(best: Series, second: Series) -> tuple[str, list[str]]:
    """Return the sentence on the two best models, and its evidence; no winner where its images are no result."""
    title, names = best["title"], (best["label"], second["label"])
    if undertrained(best) and undertrained(second):
        both = " and ".join(names)
        return f"No winner: every scored training of {both} was judged undertrained.", []
    for verdict in DISQUALIFYING:
        count, total = int(best[f"n_{verdict}"]), int(best["n"])
        if 2 * count > total:
            judged = f"{count} of its {trainings(total)} {'was' if count == 1 else 'were'} judged {verdict}"
            return f"No winner: {names[0]} has the best {title}, but {judged}.", []
    sentence, evidence = describe_difference(title, *names, difference_of(best, second))
    return sentence, [evidence]


def cost(data: ReportData, protocol_id: str) -> str:
    """Return the cost of a protocol's best model relative to the second; empty without two ranked models."""
    board = data.board(protocol_id)
    ranked = board[board["rank"].notna()]
    return _cost(data, ranked.iloc[0], ranked.iloc[1]) if len(ranked) > 1 else ""


def _estimate(row: Series) -> str:
    names = ("n", "mean", "std", "median", "iqm", "interval_low", "interval_high")
    found = Estimate(*(row[name] for name in names))
    return describe_estimate(row["title"], found, int(row["n_diverged"]), int(row["n_failed"]))


def _lost(board: pd.DataFrame) -> str:
    """Return a sentence with the diverged and failed trainings of each model; empty without any."""
    sentences = []
    for status in ("diverged", "failed"):
        shares = [
            f"{row[f'n_{status}']} of {trainings(int(row['n_runs']))} of {row['label']}"
            for _, row in board[board[f"n_{status}"] > 0].iterrows()
        ]
        sentences += [f" {status.capitalize()}: {', '.join(shares)}."] if shares else []
    return "".join(sentences)


def _disagreements(data: ReportData, protocol_id: str, ranked: pd.DataFrame) -> list[str]:
    """Return a sentence on each metric, and each other protocol of the data set, that puts another model first."""
    first = ranked.iloc[0]
    scores = data.scores[data.scores["protocol_id"] == protocol_id]
    parts = []
    for metric, title, better in scores[["metric", "title", "better"]].drop_duplicates("metric").to_numpy():
        if metric == first["metric"] or metric in CHECKS or metric.endswith("_std") or pd.isna(first[metric]):
            continue
        values = ranked.set_index("label")[metric]
        other = values.idxmin() if better == "lower" else values.idxmax()
        if number(values[other]) != number(values.iloc[0]):
            ours, theirs = (_values(data, protocol_id, label, metric) for label in (first["label"], other))
            sure = compare(ours, theirs, better, scale=scale_of(metric)).certainty
            note = {"clear": ", clearly", "unclear": ", can't be told apart", "too few": ""}[sure]
            numbers = f"{number(values[other])} against {number(values.iloc[0])}{note}"
            parts.append(f"{title} puts {other} first ({numbers})")
    for key in data.protocols:
        board = data.board(key)
        other = board[board["rank"] == 1]
        if key != protocol_id and len(other) and other["label"].iloc[0] != first["label"]:
            parts.append(f"{other['title'].iloc[0]} [{key}] puts {other['label'].iloc[0]} first")
    return [f"Not all agree: {'; '.join(parts)}."] if parts else []


def _values(data: ReportData, protocol_id: str, label: str, metric: str) -> list[float]:
    rows = data.reported()
    own = rows[(rows["protocol_id"] == protocol_id) & (rows["label"] == label)]
    return [float(value) for value in own[f"score_{metric}"].dropna()]


def _real_reference(row: Series) -> str:
    if pd.isna(row["real_reference"]):
        return ""
    return f" Real images score {number(float(row['real_reference']))} under the same protocol."


def _spreads(ranked: pd.DataFrame) -> list[str]:
    """Return the spreads over training seeds and over generation draws, where there are several draws."""
    parts = []
    for _, row in ranked[ranked["std_draws"].notna()].iterrows():
        seeds = f"{number(row['std'])} over {row['n']} seeds" if row["n"] > 1 else "unknown over one seed"
        parts.append(f"{row['label']} {seeds} and {number(row['std_draws'])} over {row['n_draws']} draws")
    head = "Standard deviation over training seeds and over generation draws"
    return [f"{head}: {'; '.join(parts)}."] if parts else []


def _others(ranked: pd.DataFrame) -> str:
    rest = ranked.iloc[1:]
    parts = [
        f"{text}: {', '.join(rest.loc[rest['versus_best'] == key, 'label'])}"
        for key, text in VERSUS_BEST.items()
        if (rest["versus_best"] == key).any()
    ]
    return f"Compared with the best, {'; '.join(parts)}."


def _cost(data: ReportData, best: Series, second: Series) -> str:
    costs: pd.DataFrame = pd.concat([costs_of(data.costs, row) for row in (best, second)])
    unlike = [words for key, words in COST_CONDITIONS.items() if costs[key].nunique() > 1]
    if unlike:
        return f"Their costs can't be compared: they differ in {' and '.join(unlike)}."
    a, b = best["epoch_seconds_median"], second["epoch_seconds_median"]
    if pd.isna(a) or pd.isna(b) or min(a, b) <= 0:
        return ""
    ratio = a / b
    more = f"{number(ratio)} times as long as" if ratio >= 1 else f"{number(ratio)} of the time of"
    device = costs["device_name"].iloc[0]
    seconds = f"{number(a)} s against {number(b)} s" + (f" on {device}" if device else "")
    return f"An epoch of {best['label']} takes {more} one of {second['label']}: {seconds}."
