"""time_to_score: seconds and epochs until a model first scores as well as a target."""

from __future__ import annotations

import math
from pathlib import Path

from helpers.made_runs import build, make_epochs, make_scores, make_spec

from gan_bench.core.records import StoredRun
from gan_bench.report.page.render import render_html, render_markdown
from gan_bench.report.report_data import report_data
from gan_bench.report.tables.time_to_score import time_to_score


def followed(folder: Path, model: str, seed: int, fids: dict[int, float], **changes: object) -> StoredRun:
    """A training of 25 epochs of 2 seconds, with FID after some epochs."""
    spec = make_spec(model, seed)
    epochs = [epoch.model_copy(update={"epoch_seconds": 2.0}) for epoch in make_epochs(spec)]
    scores = [
        score.model_copy(update={"value": fids[score.epoch]})
        for score in make_scores(spec, epochs=list(fids))
        if score.metric == "fid"
    ]
    return build(folder, spec, pictures=False, scores=scores, epochs_list=epochs, **changes)


def rows(runs: list[StoredRun]) -> dict[tuple[str, str], tuple[float, float, str]]:
    """(target's model, model) -> (seconds, epochs, reached of all)."""
    data = report_data(runs)
    table = time_to_score(data, data.protocols)
    return {
        (row["target_of"], row["label"]): (
            row["seconds_median"],
            row["epochs_median"],
            f"{row['n_reached']} of {row['n_runs']}",
        )
        for _, row in table.iterrows()
    }


def test_time_is_that_of_the_first_evaluation_as_good_as_the_target(tmp_path: Path) -> None:
    good = followed(tmp_path, "dcgan28", 0, {5: 50.0, 10: 19.0, 20: 30.0, 25: 10.0})
    bad = followed(tmp_path, "vanilla", 0, {5: 90.0, 15: 40.0, 25: 20.0})
    found = rows([good, bad])
    assert found["vanilla", "dcgan28"] == (20.0, 10.0, "1 of 1")
    assert found["vanilla", "vanilla"] == (50.0, 25.0, "1 of 1")
    assert found["dcgan28", "dcgan28"] == (50.0, 25.0, "1 of 1")
    seconds, epochs, reached = found["dcgan28", "vanilla"]
    assert (math.isnan(seconds), math.isnan(epochs), reached) == (True, True, "0 of 1")


def test_lanes_share_the_time_of_their_epochs(tmp_path: Path) -> None:
    found = rows([followed(tmp_path, "vanilla", 0, {5: 30.0, 25: 20.0}, lanes=4)])
    assert found["vanilla", "vanilla"] == (12.5, 25.0, "1 of 1")


def test_a_training_that_never_scores_as_well_counts_as_infinitely_long(tmp_path: Path) -> None:
    fids = [{5: 20.0, 25: 20.0}, {5: 40.0, 10: 20.0, 25: 20.0}, {5: 40.0, 25: 20.0}]
    runs = [followed(tmp_path, "vanilla", seed, each) for seed, each in enumerate(fids)]
    assert rows(runs)["vanilla", "vanilla"] == (20.0, 10.0, "3 of 3")
    lost = [build(tmp_path, make_spec("vanilla", seed), pictures=False, status="diverged") for seed in (3, 4)]
    assert rows([*runs, *lost])["vanilla", "vanilla"] == (50.0, 25.0, "3 of 5")
    lost += [build(tmp_path, make_spec("vanilla", 5), pictures=False, status="failed")]
    seconds, _, reached = rows([*runs, *lost])["vanilla", "vanilla"]
    assert (math.isnan(seconds), reached) == (True, "3 of 6")


def test_times_on_several_devices_are_not_averaged(tmp_path: Path) -> None:
    runs = [
        followed(tmp_path, "vanilla", seed, {5: 30.0, 25: 20.0}, device_name=name)
        for seed, name in enumerate(("one", "other"))
    ]
    seconds, epochs, _ = rows(runs)["vanilla", "vanilla"]
    assert (math.isnan(seconds), epochs) == (True, 25.0)


def test_trainings_without_intermediate_evaluations_are_left_out(tmp_path: Path) -> None:
    last_only = followed(tmp_path, "vanilla", 0, {25: 20.0})
    assert rows([last_only]) == {}
    data = report_data([last_only])
    assert "Time to reach a score" not in render_html(data, []) + render_markdown(data, [])


def test_page_and_markdown_have_the_table(tmp_path: Path) -> None:
    runs = [followed(tmp_path, "dcgan28", 0, {5: 50.0, 10: 19.0, 25: 10.0})]
    runs.append(followed(tmp_path, "vanilla", 0, {5: 90.0, 25: 20.0}))
    data = report_data(runs)
    assert "<td" in render_html(data, []).partition("Time to reach a score")[2].partition("</table>")[0]
    assert "| 20.0 (mean of vanilla) | dcgan28 | 20.0 | 10.0 | 1 of 1 training |" in render_markdown(data, [])
