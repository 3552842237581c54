"""Limitations of the results in sentences, most important first."""

from __future__ import annotations

import pandas as pd

from gan_bench.core.training_spec import NOTABLE_DROP
from gan_bench.report.formatting import trainings
from gan_bench.report.report_data import ReportData
from gan_bench.report.tables.summary import QUALITY_CONDITIONS

FEW_SAMPLES = 10_000
ARITHMETIC = {
    "commit": "commits of gan_bench",
    "gan_bench_version": "versions of gan_bench",
    "torch_version": "versions of PyTorch",
    "instruction_set": "CPU instruction sets",
    "blas": "BLAS libraries",
    "numeric_settings": "numeric settings",
}
"""Columns that can change a run's numbers although its spec is the same."""
VERDICT_MEANINGS = (
    ("collapsed", "their samples lack variety"),
    ("memorised", "their samples copy training images"),
    ("undertrained", "more training would change their scores"),
    ("inconclusive", "their metrics do not exclude the other verdicts, see the reasons"),
)


def limitations(data: ReportData) -> list[str]:
    """Return the limitations of the results, most important first."""
    board = data.leaderboard
    scored = board[board["n"] > 0]
    return [
        *_limits_of_counts(scored),
        *_confounders(data, scored),
        *_provenance(data.runs),
        *_dropped(data.runs),
        *_limits_of_runs(data),
        *_limits_of_scores(data, scored),
    ]


def _limits_of_counts(scored: pd.DataFrame) -> list[str]:
    sentences = []
    single = sorted(set(scored.loc[scored["n"] == 1, "label"]))
    if single:
        sentences.append(f"One seed: no interval, no claim. This holds for {', '.join(single)}. Add --seeds 0-4.")
    two = sorted(set(scored.loc[scored["n"] == 2, "label"]))
    if two:
        sentences.append(f"Two scored trainings give no interval. This holds for {', '.join(two)}.")
    if scored["std_draws"].notna().any():
        sentences.append(
            "Generation draws repeat sampling, not training: intervals and p-values are over training seeds."
        )
    optimistic = scored[scored["rate_choice"].str.endswith("optimistic")]
    if len(optimistic):
        sentences.append(
            "Each of several learning rates has one seed only, so the best of them is reported: new seeds would "
            f"score worse. This holds for {', '.join(sorted(set(optimistic['label'])))}."
        )
        if scored["n_rates"].nunique() > 1:
            sentences.append(
                "The number of learning rates differs between models: more rates mean a more optimistic best."
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


def _provenance(runs: pd.DataFrame) -> list[str]:
    """Return sentences about code, images and arithmetic that are not the same for all runs."""
    sentences = []
    apart = runs["label"].str.contains(r"[( ](?:code|images)=[0-9a-f]{6}", regex=True)
    if apart.any():
        names = ", ".join(sorted(set(runs.loc[apart, "label"])))
        sentences.append(
            f"The code of a plugin, or the images of a data set, changed between runs, kept apart: {names}."
        )
    differing = [
        f"{words} ({', '.join(found)})"
        for column, words in ARITHMETIC.items()
        if len(found := sorted({value for value in runs[column] if value})) > 1
    ]
    if differing:
        sentences.append(
            f"Runs were trained with different {'; '.join(differing)}: equal specs need not give equal numbers."
        )
    return sentences


def _dropped(runs: pd.DataFrame) -> list[str]:
    """Return a sentence about training images that epochs left out because they filled no step."""
    notable = runs[runs["dropped_share"] > NOTABLE_DROP]
    shares = {
        f"{row['dataset']} with batches of {row['batch_size']} ({row['dropped_share']:.0%})"
        for _, row in notable.iterrows()
    }
    if not shares:
        return []
    return [
        "Each epoch left out training images that filled no step, others each time: "
        f"{', '.join(sorted(shares))}. An epoch is shorter than it seems."
    ]


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
            "the mean over the others is optimistic. It ranks below every score."
        )
    if failed:
        ranks = "runs failed and rank" if failed > 1 else "run failed and ranks"
        sentences.append(f"{failed} {ranks} below every score; their reasons are listed.")
    unevaluated = int((runs["evaluation_failure"] != "").sum())
    if unevaluated:
        sentences.append(f"The evaluation of {trainings(unevaluated)} failed; their reasons are listed.")
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
