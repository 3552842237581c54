"""What the tables add up to: conclusions, what they do not show, and what went wrong, in plain words."""

from __future__ import annotations

from typing import Any, TypeAlias

import pandas as pd

from gan_bench.report.data import ReportData
from gan_bench.report.frame import training_key
from gan_bench.report.statistics import Estimate, compare
from gan_bench.report.tables import COST_CONDITIONS, QUALITY_CONDITIONS
from gan_bench.report.words import difference_words, estimate_words, number, trainings

Series: TypeAlias = "pd.Series[Any]"

FEW_SAMPLES = 10_000


def warning(data: ReportData) -> str:
    """Return what a reader must know before any number, or empty text: nothing scored, or training too short."""
    done = data.runs[data.runs["status"] == "done"]
    if done.empty:
        return "No run finished: there are no scores, only the reasons below."
    short = int((done["verdict"] == "undertrained").sum())
    if short == len(done):
        return (
            "Training was short: every finished run was judged undertrained. These numbers show that the "
            "benchmark works; they say nothing about which model is better once trained."
        )
    if short * 2 >= len(done):
        return f"Training was short: {short} of {len(done)} finished runs were judged undertrained."
    return ""


def conclusions(data: ReportData, protocol_id: str) -> list[str]:
    """Return what one protocol's leaderboard shows: which is better, by how much, how sure."""
    board = data.board(protocol_id)
    ranked = board[board["rank"].notna()]
    if ranked.empty:
        return ["Nothing was scored under this protocol."]
    best = ranked.iloc[0]
    lost = _lost(board)
    reached = f"{best['label']}: {_estimate(best)}, at lr {best['rate']}."
    if len(ranked) == 1:
        return [f"{reached}{lost}", f"There is nothing to compare it with: train a second model.{_floor(best)}"]
    second = ranked.iloc[1]
    verdict, evidence = _comparison(data, best, second)
    means = f"{reached} {second['label']}: {_estimate(second)}, at lr {second['rate']}.{_floor(best)}"
    told = [f"{verdict}{lost}", means, evidence]
    if len(ranked) > 2:
        told.append(_others(ranked))
    return told


def cost(data: ReportData, protocol_id: str) -> str:
    """Return what the best model of a protocol costs beside the next one, or empty text."""
    board = data.board(protocol_id)
    ranked = board[board["rank"].notna()]
    return _cost(data, ranked.iloc[0], ranked.iloc[1]) if len(ranked) > 1 else ""


def _estimate(row: Series) -> str:
    names = ("n", "mean", "std", "median", "iqm", "interval_low", "interval_high")
    return estimate_words(row["title"], Estimate(*(row[name] for name in names)))


def _lost(board: pd.DataFrame) -> str:
    """Return of which models how many trainings diverged, as a sentence; empty where none did."""
    shares = [
        f"{row['n_diverged']} of {trainings(int(row['n_runs'] - row['n_failed']))} of {row['label']}"
        for _, row in board[board["n_diverged"] > 0].iterrows()
    ]
    return f" Diverged: {', '.join(shares)}." if shares else ""


def _floor(row: Series) -> str:
    if pd.isna(row["floor"]):
        return ""
    return f" Real images reach {number(float(row['floor']))} under the same protocol."


def _values(data: ReportData, row: Series) -> list[float]:
    keys = ("label", "dataset", "protocol_id", "lr_g", "lr_d")
    match = pd.Series(True, index=data.results.index)
    for key in keys:
        match &= data.results[key] == row[key]
    return [float(value) for value in data.results.loc[match, "value"].dropna()]


def _comparison(data: ReportData, best: Series, second: Series) -> tuple[str, str]:
    found = compare(
        _values(data, best), _values(data, second), best["better"], best["n_diverged"], second["n_diverged"]
    )
    return difference_words(best["title"], best["label"], second["label"], found)


def _others(ranked: pd.DataFrame) -> str:
    words = {
        "worse": "clearly worse than the best",
        "likely worse": "likely worse than the best",
        "tie": "not to be told apart from the best",
        "no claim": "without a claim, for too few trainings",
    }
    rest = ranked.iloc[1:]
    parts = [
        f"{', '.join(rest.loc[rest['versus_best'] == key, 'label'])}: {text}"
        for key, text in words.items()
        if (rest["versus_best"] == key).any()
    ]
    return "Against the best, " + "; ".join(parts) + "."


def _cost(data: ReportData, best: Series, second: Series) -> str:
    a, b = best["epoch_seconds_median"], second["epoch_seconds_median"]
    if pd.isna(a) or pd.isna(b) or min(a, b) <= 0:
        return ""
    runs = data.at_best_rate()
    runs = runs[(runs["protocol_id"] == best["protocol_id"]) & (runs["status"] != "failed")]
    runs = runs[runs["label"].isin([best["label"], second["label"]])]
    unlike = [words for key, words in COST_CONDITIONS.items() if runs[key].nunique() > 1]
    if unlike:
        return f"Their costs can't be compared: they differ in {' and '.join(unlike)}."
    ratio = a / b
    more = f"{number(ratio)} times as long as" if ratio >= 1 else f"{number(ratio)} of the time of"
    device = f" on {best['device_name']}" if best["device_name"] else ""
    seconds = f"{number(a)} s against {number(b)} s{device}"
    return f"An epoch of {best['label']} takes {more} one of {second['label']}: {seconds}."


def not_shown(data: ReportData) -> list[str]:
    """Return what the numbers do not show, most important first."""
    board = data.leaderboard
    scored = board[board["n"] > 0]
    return [*_about_counts(data, scored), *_about_fairness(data, scored), *_about_scores(data, scored)]


def _about_counts(data: ReportData, scored: pd.DataFrame) -> list[str]:
    told = []
    repeats = len(data.stored) - len({training_key(run.spec) for run in data.stored})
    if repeats:
        repeat = "s repeat trainings" if repeats > 1 else " repeats a training"
        told.append(
            f"{repeats} run{repeat}, with another evaluation only. Under each protocol a training counts once: "
            "repeats are no further seeds."
        )
    single = sorted(set(scored.loc[scored["n"] == 1, "label"]))
    if single:
        told.append(f"One seed: no interval, no claim. This holds for {', '.join(single)}. Add --seeds 0-4.")
    few = scored[(scored["n"] > 1) & scored["interval_rough"]]
    if len(few):
        least = trainings(int(few["n"].min()))
        told.append(f"Intervals over as few as {least} are rough: they know only the seeds that were run.")
    if (scored["n_rates"] > 1).any():
        told.append(
            "Each model stands at the best of several learning rates, chosen on the very seeds that are reported. "
            "That choice is optimistic; fresh seeds at the chosen rate would be a little worse."
        )
    if scored["n_rates"].nunique() > 1:
        told.append(
            "Not every model was given as many rates to choose from: those with more had more luck to find."
        )
    if (scored.groupby("protocol_id")["label"].nunique() > 2).any():
        told.append("Each p-value stands alone: with several models some differences look sure by chance.")
    return told


def _about_fairness(data: ReportData, scored: pd.DataFrame) -> list[str]:
    told = []
    for key in data.protocols:
        board = scored[scored["protocol_id"] == key]
        unlike = [words for name, words in QUALITY_CONDITIONS.items() if board[name].nunique() > 1]
        if unlike:
            told.append(
                f"The models of {data.protocol_title(key)} differ in {' and '.join(unlike)}, too: "
                "part of a difference may come from there."
            )
    for verdict, means in (
        ("collapsed", "their samples lack variety"),
        ("memorised", "their samples copy training images"),
        ("undertrained", "more training would change their scores"),
    ):
        count = int((data.runs["verdict"] == verdict).sum())
        if count:
            told.append(f"{count} of {len(data.runs)} runs were judged {verdict}: {means}.")
    lost = len({training_key(run.spec) for run in data.stored if run.record.status == "diverged"})
    if lost:
        told.append(f"{trainings(lost)} diverged, without a score: the mean over the others flatters the model.")
    failed = int((data.runs["status"] == "failed").sum())
    if failed:
        told.append(f"{failed} run{'s' if failed > 1 else ''} failed; the reasons are below.")
    return told


def _about_scores(data: ReportData, scored: pd.DataFrame) -> list[str]:
    told = []
    asked = data.runs[(data.runs["dataset_requested"] == "auto") & (data.runs["dataset"] != "mnist")]
    if len(asked):
        names = ", ".join(sorted(set(asked["dataset"])))
        told.append(f"The data set was left open and MNIST was not at hand: these are scores on {names}.")
    if len(scored) and scored["n_fake"].min() < FEW_SAMPLES:
        least = int(scored["n_fake"].min())
        told.append(f"With {least:,} generated images FID is biased upwards: compare only within this table.")
    told.append(
        "A score holds under its protocol only: the same metric on another extractor, split, or number of images "
        "is another scale, published tables included."
    )
    if data.runs["dataset"].nunique() == 1:
        told.append(f"One data set ({data.runs['dataset'].iloc[0]}) says nothing about another.")
    return told
