"""Dataframes, summary and leaderboard: every run counted, protocols separate."""

from pathlib import Path

import pandas as pd
import pytest
from helpers.made_runs import build, build_many, make_epochs, make_scores, make_spec

from gan_bench.core.errors import InputError
from gan_bench.core.numbers import rate_text
from gan_bench.core.records import StoredRun
from gan_bench.report.dataframes import runs_frame, scores_frame
from gan_bench.report.findings import conclusions
from gan_bench.report.labels import variants
from gan_bench.report.limitations import limitations
from gan_bench.report.report_data import ReportData, report_data
from gan_bench.report.tables.display_tables import display_failures, display_leaderboard, display_protocol

CONTRACT = """
run_id, model, loss, penalty, dataset, image_size, seed, lr_g, lr_d, batch_size, steps, epochs, status, verdict,
fid, inception_score_mean, inception_score_std, kid_mean, precision, recall, modes_covered, extractor, n_real,
n_fake, epoch_seconds_median, train_seconds, images_per_second, eval_seconds, peak_memory_bytes, g_params,
d_params, device, train_precision, lanes, attempts, torch_version, gan_bench_version, commit
"""


def fixed(folder: Path, model: str, seed: int, fid: float, lr: float = 2e-4, **changes: object) -> StoredRun:
    """Return a run with a given FID."""
    spec = make_spec(model, seed, lr, **{key: changes.pop(key) for key in ("settings",) if key in changes})
    scores = [
        score.model_copy(update={"value": fid}) if score.metric == "fid" else score
        for score in make_scores(spec, ["mnist-cnn"], [25])
    ]
    return build(folder, spec, pictures=False, scores=scores, **changes)


def test_runs_frame_has_the_contract_columns(shared_runs: list[StoredRun]) -> None:
    frame = runs_frame(shared_runs)
    assert [name.strip() for name in CONTRACT.split(",") if name.strip() not in frame.columns] == []
    assert len(frame) == len(shared_runs)
    assert set(frame["train_precision"]) == {"fp32"}, "precision is the metric, train_precision the arithmetic"
    assert frame["torch_version"].eq("2.11.0").all()
    assert frame["commit"].eq("0123abc").all()


def test_runs_frame_holds_the_final_scores_of_the_main_protocol(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False, extractors=("inception", "mnist-cnn"))
    row = runs_frame([run]).iloc[0]
    expected = [s.value for s in run.scores if s.metric == "fid" and s.protocol.extractor == "mnist-cnn"][-1]
    assert (row["fid"], row["extractor"]) == (expected, "mnist-cnn")
    assert row["protocol_id"] == report_data([run]).protocols[0]


def test_best_checkpoint_scores_do_not_enter_the_default_tables(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False)
    better = [s.model_copy(update={"value": 0.0, "checkpoint": "best", "step": 10**9}) for s in run.scores]
    both = build(tmp_path, make_spec(), pictures=False, scores=[*run.scores, *better])
    assert runs_frame([both])["fid"].iloc[0] == runs_frame([run])["fid"].iloc[0]
    assert report_data([both]).leaderboard["mean"].iloc[0] == report_data([run]).leaderboard["mean"].iloc[0]


def test_intermediate_scores_of_a_diverged_run_do_not_count(tmp_path: Path) -> None:
    spec = make_spec(seed=1)
    diverged = build(
        tmp_path, spec, pictures=False, status="diverged", scores=make_scores(spec, ["mnist-cnn"], [5])
    )
    data = report_data([build(tmp_path, make_spec(), pictures=False), diverged])
    assert data.runs.loc[data.runs["status"] == "diverged", "fid"].isna().all()
    assert data.leaderboard["n"].iloc[0] == 1
    assert len(data.scores[data.scores["status"] == "diverged"]) == 7, "scores.csv keeps them"


def test_scores_frame_has_protocol_references_and_draw(shared_runs: list[StoredRun]) -> None:
    frame = scores_frame(shared_runs)
    assert {"protocol_id", "real_reference", "noise_reference", "draw", "weights", "batch_norm"} <= set(frame)
    assert {"n_real", "reference_split", "extractor_sha256", "torch_fidelity_version"} <= set(frame)
    assert frame["protocol_id"].str.fullmatch("p[0-9a-f]{8}").all()
    assert len(frame) == sum(len(run.scores) for run in shared_runs)
    seeds = {run.record.run_id: run.spec.seed for run in shared_runs}
    assert len(set(seeds.values())) > 1
    assert list(frame["seed"]) == [seeds[run_id] for run_id in frame["run_id"]], (
        "the training's, not the protocol's"
    )
    key = str(frame["protocol_id"].iloc[0])
    fields = dict(display_protocol(report_data(shared_runs), key).rows)
    assert fields["seed"] == str(shared_runs[0].scores[0].protocol.seed)
    assert list(frame["protocol_seed"]) == [score.protocol.seed for run in shared_runs for score in run.scores]


def test_protocols_are_separate_tables(shared_runs: list[StoredRun]) -> None:
    data = report_data(shared_runs)
    assert len(data.protocols) == 2
    for table in (data.summary, data.leaderboard):
        assert table.groupby("protocol_id")["extractor"].nunique().eq(1).all()
    for _, board in data.leaderboard.groupby("protocol_id"):
        assert sorted(board["rank"]) == [1, 2], "each protocol has its own ranking"
    assert len(data.leaderboard) == 4


def test_another_sample_count_is_another_protocol(tmp_path: Path) -> None:
    runs = [
        build(tmp_path, make_spec(seed=0), pictures=False),
        build(tmp_path, make_spec(seed=1), pictures=False, n_fake=2000),
    ]
    board = report_data(runs).leaderboard
    assert list(board["n"]) == [1, 1]
    assert set(board["n_fake"]) == {10_000, 2_000}


def test_every_run_is_counted_under_every_protocol(shared_runs: list[StoredRun]) -> None:
    summary = report_data(shared_runs).summary
    for _, table in summary.groupby("protocol_id"):
        assert table["n_runs"].sum() == len(shared_runs)
        assert table["n_diverged"].sum() == 1
        assert table["n_failed"].sum() == 1
    diverged = summary[summary["lr_g"] == 4e-4]
    assert diverged["n"].eq(0).all()
    assert diverged["mean"].isna().all()


def test_summary_statistics_of_known_values(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", seed, fid) for seed, fid in enumerate([6.0, 8.0, 10.0])]
    row = report_data(runs).summary.iloc[0]
    assert (row["n"], row["mean"], row["std"], row["median"]) == (3, 8.0, 2.0, 8.0)
    assert row["interval_low"] == pytest.approx(4.22, abs=0.01), "t with 2 degrees of freedom on the log scale"
    assert row["interval_high"] == pytest.approx(15.57, abs=0.2)
    assert row["real_reference"] == 0.4
    assert row["noise_reference"] == 310.0


def test_leaderboard_is_at_the_best_rate_and_notes_the_choice(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", s, fid, lr) for lr, fid in ((1e-4, 9.0), (2e-4, 5.0)) for s in (0, 1)]
    row = report_data(runs).leaderboard.iloc[0]
    assert (row["lr_g"], row["n_rates"]) == (2e-4, 2)
    assert row["rate_choice"].startswith("leave-one-seed-out among 2 rates")
    only = report_data(runs[:2]).leaderboard.iloc[0]
    assert only["rate_choice"] == "the only rate"


def test_a_rate_with_diverged_trainings_is_not_the_best_rate(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", seed, 9.0, 1e-4) for seed in (0, 1)]
    runs.append(fixed(tmp_path, "dcgan28", 0, 3.0, 4e-4))
    runs.append(build(tmp_path, make_spec(seed=1, lr=4e-4), pictures=False, status="diverged"))
    assert report_data(runs).leaderboard["lr_g"].iloc[0] == 1e-4


def test_ranking_follows_the_metric_and_marks_ties(tmp_path: Path) -> None:
    groups = {"good": [5.0, 6, 7, 5.5, 6.5], "alike": [5.2, 6.3, 7.1, 5.6, 6.6], "bad": [20.0, 21, 22, 23, 24]}
    runs = [fixed(tmp_path, name, seed, fid) for name, fids in groups.items() for seed, fid in enumerate(fids)]
    board = report_data(runs).leaderboard
    assert list(board["label"]) == ["good", "alike", "bad"]
    assert list(board["versus_best"]) == ["best", "tie", "worse"]


def diverging(folder: Path, diverged: int, survivors: list[float], steady: list[float]) -> ReportData:
    """Return data of a model with diverged and better scored trainings, and of one that never diverges."""
    runs = [fixed(folder, "dcgan28", seed, fid) for seed, fid in enumerate(survivors)]
    runs += [fixed(folder, "vanilla", seed, fid) for seed, fid in enumerate(steady)]
    for seed in range(len(survivors), len(survivors) + diverged):
        runs.append(build(folder, make_spec("dcgan28", seed), pictures=False, status="diverged"))
    return report_data(runs)


def test_a_model_that_mostly_diverges_is_not_ranked_by_its_scored_trainings(tmp_path: Path) -> None:
    data = diverging(tmp_path, 3, [51.0, 52.0], [56.0, 57.0, 58.0])
    assert list(data.leaderboard["label"]) == ["vanilla", "dcgan28"]
    assert list(data.leaderboard["median_of_all"]) == [57.0, float("inf")]
    assert conclusions(data, data.protocols[0])[0].endswith("Diverged: 3 of 5 trainings of dcgan28.")


def test_a_model_that_rarely_diverges_keeps_its_rank(tmp_path: Path) -> None:
    data = diverging(tmp_path, 1, [51.0, 52.0, 53.0], [56.0, 57.0, 58.0, 59.0])
    assert list(data.leaderboard["label"]) == ["dcgan28", "vanilla"]
    assert list(data.leaderboard["median_of_all"]) == [52.5, 57.5]
    steady = diverging(tmp_path, 0, [51.0, 52.0], [56.0, 57.0])
    assert "iverged" not in conclusions(steady, steady.protocols[0])[0]


def test_equal_medians_are_ranked_by_the_mean(tmp_path: Path) -> None:
    assert list(diverging(tmp_path, 0, [1.0, 5.0, 9.0], [4.0, 5.0, 5.5]).leaderboard["label"]) == [
        "vanilla",
        "dcgan28",
    ]


def test_different_settings_are_separate_rows(tmp_path: Path) -> None:
    wide = {"beta1": 0.5, "beta2": 0.999, "z_dim": 100, "noise": "normal", "width": 2.0}
    runs = [fixed(tmp_path, "dcgan28", 0, 5.0), fixed(tmp_path, "dcgan28", 0, 6.0, settings=wide)]
    assert sorted(variants(runs).values()) == ["width=1.0", "width=2.0"]
    assert sorted(report_data(runs).leaderboard["label"]) == ["dcgan28 (width=1.0)", "dcgan28 (width=2.0)"]


def test_training_time_of_lanes_is_divided(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False, lanes=4, train_seconds=100.0)
    assert runs_frame([run])["train_seconds_per_run"].iloc[0] == 25.0


def test_runs_frame_without_runs_is_empty() -> None:
    assert runs_frame([]).empty


def test_report_without_runs_is_an_input_error() -> None:
    with pytest.raises(InputError, match="gan-bench run"):
        report_data([])


@pytest.mark.parametrize(
    ("rates", "text"),
    [((2e-4, 2e-4), "2e-4"), ((4e-4, 1e-4), "4e-4:1e-4"), ((1.5e-5, 1.5e-5), "1.5e-5"), ((1.0, 1.0), "1e0")],
)
def test_rates_are_written_as_typed(rates: tuple[float, float], text: str) -> None:
    assert rate_text(*rates) == text


def test_epochs_frame_has_every_epoch(shared_runs: list[StoredRun]) -> None:
    epochs = report_data(shared_runs).epochs
    assert len(epochs) == sum(len(run.epochs) for run in shared_runs)
    assert isinstance(epochs, pd.DataFrame)
    assert len(make_epochs(make_spec())) == 25


def test_failed_runs_do_not_count_in_costs_and_conditions(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", seed, 6.0, train_seconds=100.0) for seed in (0, 1)]
    nothing = {"g_params": 0, "d_params": 0, "train_seconds": 1.0, "device_name": "", "lanes": 8}
    failed = [
        build(tmp_path, make_spec(seed=seed), pictures=False, status="failed", epochs_list=[], **nothing)
        for seed in (2, 3, 4)
    ]
    data = report_data([*runs, *failed])
    for table in (data.summary, data.leaderboard):
        row = table.iloc[0]
        assert (row["g_params"], row["train_seconds_per_run"], row["lanes"]) == (2_310_000, 100.0, "1")
        assert (row["n_runs"], row["n_failed"]) == (5, 3)
    only = report_data(failed).summary.iloc[0]
    assert pd.isna(only["g_params"])
    assert only["lanes"] == ""


def test_penalties_are_separate_rows(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(penalty=penalty), pictures=False) for penalty in ("none", "r1")]
    data = report_data(runs)
    assert sorted(data.leaderboard["label"]) == ["dcgan28", "dcgan28+r1"]
    for frame in (data.runs, data.scores, data.summary, data.leaderboard):
        assert set(frame["penalty"]) == {"none", "r1"}


def drawn(folder: Path, values: list[list[float]]) -> ReportData:
    """Return data of one training per list of FIDs, one FID per generation draw."""
    runs = []
    for seed, fids in enumerate(values):
        spec = make_spec(seed=seed)
        fid = next(score for score in make_scores(spec) if score.metric == "fid")
        scores = [fid.model_copy(update={"value": value, "draw": draw}) for draw, value in enumerate(fids)]
        runs.append(build(folder, spec, pictures=False, scores=scores))
    return report_data(runs)


def test_a_training_s_value_is_its_mean_over_draws(tmp_path: Path) -> None:
    data = drawn(tmp_path, [[5.0, 6.0, 7.0], [7.0, 8.0, 9.0]])
    assert list(data.runs["fid"]) == [6.0, 8.0]
    assert list(data.scores["draw"]) == [0, 1, 2, 0, 1, 2]
    for table in (data.summary, data.leaderboard):
        row = table.iloc[0]
        assert (row["n"], row["mean"], row["fid"]) == (2, 7.0, 7.0), "draws are not counted as trainings"


def test_spreads_over_seeds_and_over_draws_are_separate(tmp_path: Path) -> None:
    data = drawn(tmp_path, [[5.0, 6.0, 7.0], [6.0, 8.0, 10.0]])
    row = data.leaderboard.iloc[0]
    assert row["std"] == pytest.approx(2**0.5), "of the means 6 and 8"
    assert row["std_draws"] == pytest.approx(1.5), "the mean of 1 and 2"
    assert row["n_draws"] == 3
    table = display_leaderboard(data, data.protocols[0])
    shown = dict(zip(table.headings, table.rows[0], strict=True))
    assert (shown["std over seeds"], shown["std over draws"], shown["draws"]) == ("1.41", "1.50", "3")
    spread = "over training seeds and over generation draws: dcgan28 1.41 over 2 seeds and 1.50 over 3 draws."
    assert any(spread in sentence for sentence in conclusions(data, data.protocols[0]))
    assert any("Generation draws repeat sampling" in sentence for sentence in limitations(data))


def test_one_draw_has_no_spread_over_draws(tmp_path: Path) -> None:
    data = drawn(tmp_path, [[5.0], [6.0]])
    row = data.leaderboard.iloc[0]
    assert (row["n_draws"], pd.isna(row["std_draws"])) == (1, True)
    assert "std over draws" not in display_leaderboard(data, data.protocols[0]).headings
    assert not [sentence for sentence in conclusions(data, data.protocols[0]) if "draw" in sentence]
    assert not [sentence for sentence in limitations(data) if "draw" in sentence]


def test_trainings_without_repeated_draws_do_not_enter_the_spread_over_draws(tmp_path: Path) -> None:
    row = drawn(tmp_path, [[5.0, 7.0], [6.0]]).leaderboard.iloc[0]
    assert (row["n"], row["n_draws"], row["std_draws"]) == (2, 2, pytest.approx(2**0.5))


def test_a_failed_evaluation_is_listed_with_its_reason(tmp_path: Path) -> None:
    data = report_data(
        [build(tmp_path, make_spec(), pictures=False, scores=[], evaluation_failure="no extractor")]
    )
    (row,) = display_failures(data).rows
    assert (row[1], row[-1]) == ("done, not evaluated", "no extractor")
    assert data.runs["evaluation_failure"].iloc[0] == "no extractor"
    assert any("evaluation of 1 training failed" in sentence for sentence in limitations(data))


def test_different_arithmetic_and_commits_are_limitations(tmp_path: Path) -> None:
    runs = build_many(tmp_path, seeds=(0, 1), pictures=False)
    data = report_data(runs)
    assert not [sentence for sentence in limitations(data) if "trained with different" in sentence]
    runs[0].environment["instruction_set"], runs[1].environment["instruction_set"] = "AVX2", "AVX512"  # type: ignore[index]
    runs[0].environment["commit"] = "feedbeef"  # type: ignore[index]
    (sentence,) = [text for text in limitations(report_data(runs)) if "trained with different" in text]
    assert "commits of gan_bench (0123abc, feedbeef); CPU instruction sets (AVX2, AVX512)" in sentence


def test_runs_of_other_plugin_code_are_never_pooled(tmp_path: Path) -> None:
    runs = build_many(tmp_path, models=("shallow",), seeds=(0, 1, 2), lrs=(2e-4,), pictures=False)
    for run, code in zip(runs, ("aa", "aa", "bb"), strict=True):
        run.environment["model_code"] = code  # type: ignore[index]
    data = report_data(runs)
    assert sorted(data.leaderboard["n"]) == [1, 2]
    assert all("shallow (code=" in label for label in data.leaderboard["label"])
    assert any("changed between runs, kept apart: shallow (code=" in text for text in limitations(data))


def test_images_that_were_not_recorded_are_taken_for_the_same(tmp_path: Path) -> None:
    runs = build_many(tmp_path, models=("vanilla",), seeds=(0, 1, 2), lrs=(2e-4,), pictures=False)
    runs[0].environment["dataset_sha256"] = "ab" * 32  # type: ignore[index]
    assert set(report_data(runs).leaderboard["label"]) == {"vanilla"}
    runs[1].environment["dataset_sha256"] = "cd" * 32  # type: ignore[index]
    assert len(set(report_data(runs).leaderboard["label"])) == 3
