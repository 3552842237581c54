"""Findings in sentences: conclusions under each protocol, costs, limitations and warnings."""

from __future__ import annotations

from typing import Any, TypeAlias

import pandas as pd

from gan_bench.report.formatting import describe_difference, describe_estimate, number, trainings
from gan_bench.report.report_data import ReportData
from gan_bench.report.statistics import Estimate, compare
from gan_bench.report.tables.leaderboard import KEY
from gan_bench.report.tables.summary import COST_CONDITIONS, QUALITY_CONDITIONS

Series: TypeAlias = "pd.Series[Any]"

FEW_SAMPLES = 10_000
VERSUS_BEST = {
    "worse": "clearly worse",
    "likely worse": "likely worse",
    "tie": "can't be told apart",
    "no claim": "no claim (too few trainings)",
}
VERDICT_MEANINGS = (
    ("collapsed", "their samples lack variety"),
    ("memorised", "their samples copy training images"),
    ("undertrained", "more training would change their scores"),
)


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
        return ["Nothing was scored under this protocol."]
    best = ranked.iloc[0]
    diverged, reference = _diverged(board), _real_reference(best)
    means = f"{best['label']}: {_estimate(best)}, at lr {best['rate']}."
    if len(ranked) == 1:
        hint = f"There is nothing to compare it with: train a second model.{reference}"
        return [f"{means}{diverged}", hint, *_spreads(ranked)]
    second = ranked.iloc[1]
    verdict, evidence = _comparison(data, best, second)
    means += f" {second['label']}: {_estimate(second)}, at lr {second['rate']}.{reference}"
    sentences = [f"{verdict}{diverged}", means, evidence, *_spreads(ranked)]
    if len(ranked) > 2:
        sentences.append(_others(ranked))
    return sentences


def cost(data: ReportData, protocol_id: str) -> str:
    """Return the cost of a protocol's best model relative to the second; empty without two ranked models."""
    board = data.board(protocol_id)
    ranked = board[board["rank"].notna()]
    return _cost(data, ranked.iloc[0], ranked.iloc[1]) if len(ranked) > 1 else ""


def _estimate(row: Series) -> str:
    names = ("n", "mean", "std", "median", "iqm", "interval_low", "interval_high")
    return describe_estimate(row["title"], Estimate(*(row[name] for name in names)))


def _diverged(board: pd.DataFrame) -> str:
    """Return a sentence with the number of diverged trainings per model; empty without any."""
    shares = [
        f"{row['n_diverged']} of {trainings(int(row['n_runs'] - row['n_failed']))} of {row['label']}"
        for _, row in board[board["n_diverged"] > 0].iterrows()
    ]
    return f" Diverged: {', '.join(shares)}." if shares else ""


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


def _values(data: ReportData, row: Series) -> list[float]:
    scores = data.training_scores
    match = pd.Series(True, index=scores.index)
    for key in KEY:
        match &= scores[key] == row[key]
    return [float(value) for value in scores.loc[match, "value"].dropna()]


def _comparison(data: ReportData, best: Series, second: Series) -> tuple[str, str]:
    found = compare(
        _values(data, best), _values(data, second), best["better"], best["n_diverged"], second["n_diverged"]
    )
    return describe_difference(best["title"], best["label"], second["label"], found)


def _others(ranked: pd.DataFrame) -> str:
    rest = ranked.iloc[1:]
    parts = [
        f"{text}: {', '.join(rest.loc[rest['versus_best'] == key, 'label'])}"
        for key, text in VERSUS_BEST.items()
        if (rest["versus_best"] == key).any()
    ]
    return f"Compared with the best, {'; '.join(parts)}."


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


def limitations(data: ReportData) -> list[str]:
    """Return the limitations of the results, most important first."""
    board = data.leaderboard
    scored = board[board["n"] > 0]
    return [
        *_limits_of_counts(scored),
        *_confounders(data, scored),
        *_limits_of_runs(data),
        *_limits_of_scores(data, scored),
    ]


def _limits_of_counts(scored: pd.DataFrame) -> list[str]:
    sentences = []
    single = sorted(set(scored.loc[scored["n"] == 1, "label"]))
    if single:
        sentences.append(f"One seed: no interval, no claim. This holds for {', '.join(single)}. Add --seeds 0-4.")
    few = scored[(scored["n"] > 1) & scored["interval_rough"]]
    if len(few):
        least = trainings(int(few["n"].min()))
        sentences.append(f"Intervals over as few as {least} are rough: they cover less often than 95%.")
    if scored["std_draws"].notna().any():
        sentences.append(
            "Generation draws repeat sampling, not training: intervals and p-values are over training seeds."
        )
    if (scored["n_rates"] > 1).any():
        sentences.append(
            "Each model is reported at the best of several learning rates, chosen on the reported seeds. "
            "That choice is optimistic; new seeds at the chosen rate would score slightly worse."
        )
    if scored["n_rates"].nunique() > 1:
        sentences.append(
            "The number of learning rates differs between models: more rates mean a more optimistic best."
        )
    if (scored.groupby("protocol_id")["label"].nunique() > 2).any():
        sentences.append(
            "p-values are not corrected for multiple comparisons: among several models, some differences look "
            "significant by chance."
        )
    return sentences


def _confounders(data: ReportData, scored: pd.DataFrame) -> list[str]:
    sentences = []
    for key in data.protocols:
        board = scored[scored["protocol_id"] == key]
        unlike = [words for name, words in QUALITY_CONDITIONS.items() if board[name].nunique() > 1]
        if unlike:
            sentences.append(
                f"The models of {data.protocol_title(key)} also differ in {' and '.join(unlike)}, "
                "which may explain part of a difference."
            )
    return sentences


def _limits_of_runs(data: ReportData) -> list[str]:
    runs = data.runs
    sentences = []
    for verdict, meaning in VERDICT_MEANINGS:
        count = int((runs["verdict"] == verdict).sum())
        if count:
            sentences.append(f"{count} of {len(runs)} runs were judged {verdict}: {meaning}.")
    diverged, failed = (int((runs["status"] == status).sum()) for status in ("diverged", "failed"))
    if diverged:
        sentences.append(
            f"{trainings(diverged)} diverged and {'has' if diverged == 1 else 'have'} no score: "
            "the mean over the others is optimistic."
        )
    if failed:
        sentences.append(f"{failed} run{'s' if failed > 1 else ''} failed; the reasons are below.")
    unevaluated = int((runs["evaluation_failure"] != "").sum())
    if unevaluated:
        sentences.append(f"The evaluation of {trainings(unevaluated)} failed; the reasons are below.")
    return sentences


def _limits_of_scores(data: ReportData, scored: pd.DataFrame) -> list[str]:
    sentences = []
    fallback = data.runs[(data.runs["dataset_requested"] == "auto") & (data.runs["dataset"] != "mnist")]
    if len(fallback):
        names = ", ".join(sorted(set(fallback["dataset"])))
        sentences.append(
            f"--dataset was auto and MNIST was not available: scores on {names} are not comparable with MNIST."
        )
    if len(scored) and scored["n_fake"].min() < FEW_SAMPLES:
        least = int(scored["n_fake"].min())
        sentences.append(f"With {least:,} generated images FID is biased upwards: compare only within this table.")
    sentences.append(
        "Scores are comparable only under one protocol: another extractor, reference split or number of images "
        "gives another scale, published tables included."
    )
    if data.runs["dataset"].nunique() == 1:
        sentences.append(f"Results on one data set ({data.runs['dataset'].iloc[0]}) do not transfer to others.")
    return sentences
