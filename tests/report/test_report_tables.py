"""Frames, summary and leaderboard: nothing lost, nothing mixed."""

from pathlib import Path

import pandas as pd
import pytest
from made_runs import build, make_epochs, make_scores, make_spec

from gan_bench.errors import InputError
from gan_bench.record import StoredRun
from gan_bench.report.data import ReportData, report_data
from gan_bench.report.frame import rate_text, runs_frame, scores_frame, variants
from gan_bench.report.story import conclusions
from gan_bench.report.views import protocol_view
from gan_bench.spec import Evaluation

CONTRACT = """run_id, model, loss, dataset, image_size, seed, lr_g, lr_d, batch_size, steps, epochs, status,
verdict, fid, inception_score_mean, inception_score_std, kid_mean, precision, recall, modes_covered, extractor,
n_real, n_fake, epoch_seconds_median, train_seconds, images_per_second, eval_seconds, peak_memory_bytes, g_params,
d_params, device, lanes, attempts, torch_version, gan_bench_version, commit"""


def fixed(folder: Path, model: str, seed: int, fid: float, lr: float = 2e-4, **changes: object) -> StoredRun:
    """A run whose FID is known."""
    spec = make_spec(model, seed, lr, **{key: changes.pop(key) for key in ("settings",) if key in changes})
    scores = [
        score.model_copy(update={"value": fid}) if score.metric == "fid" else score
        for score in make_scores(spec, ["mnist-cnn"], [25])
    ]
    return build(folder, spec, pictures=False, scores=scores, **changes)


def test_runs_frame_has_the_promised_columns(shared_runs: list[StoredRun]) -> None:
    frame = runs_frame(shared_runs)
    assert [name.strip() for name in CONTRACT.split(",") if name.strip() not in frame.columns] == []
    assert len(frame) == len(shared_runs)
    assert set(frame["train_precision"]) == {"fp32"}, "precision is the score, train_precision the arithmetic"
    assert frame["torch_version"].eq("2.11.0").all()
    assert frame["commit"].eq("0123abc").all()


def test_runs_frame_holds_the_last_scores_of_the_first_extractor(tmp_path: Path) -> None:
    spec = make_spec(evaluation=Evaluation(every=5, extractors=("inception", "mnist-cnn")))
    run = build(tmp_path, spec, pictures=False)
    row = runs_frame([run]).iloc[0]
    expected = [s.value for s in run.scores if s.metric == "fid" and s.protocol.extractor == "inception"][-1]
    assert row["fid"] == expected
    assert row["extractor"] == "inception"


def test_best_checkpoint_scores_do_not_enter_the_default_tables(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False)
    better = [s.model_copy(update={"value": 0.0, "checkpoint": "best", "step": 10**9}) for s in run.scores]
    both = build(tmp_path, make_spec(), pictures=False, scores=[*run.scores, *better])
    assert runs_frame([both])["fid"].iloc[0] == runs_frame([run])["fid"].iloc[0]
    assert report_data([both]).leaderboard["mean"].iloc[0] == report_data([run]).leaderboard["mean"].iloc[0]


def test_a_diverged_run_has_no_score_though_it_was_scored_on_its_way(tmp_path: Path) -> None:
    spec = make_spec(seed=1)
    lost = build(tmp_path, spec, pictures=False, status="diverged", scores=make_scores(spec, ["mnist-cnn"], [5]))
    data = report_data([build(tmp_path, make_spec(), pictures=False), lost])
    assert data.runs.loc[data.runs["status"] == "diverged", "fid"].isna().all()
    assert data.leaderboard["n"].iloc[0] == 1
    assert len(data.scores[data.scores["status"] == "diverged"]) == 7, "scores.csv keeps them"


def test_scores_frame_has_protocol_floor_and_noise(shared_runs: list[StoredRun]) -> None:
    frame = scores_frame(shared_runs)
    assert {"protocol_id", "floor", "noise", "n_real", "extractor_sha256", "torch_fidelity_version"} <= set(frame)
    assert len(frame) == sum(len(run.scores) for run in shared_runs)
    seeds = {run.record.run_id: run.spec.seed for run in shared_runs}
    assert len(set(seeds.values())) > 1
    assert list(frame["seed"]) == [seeds[run_id] for run_id in frame["run_id"]], (
        "the training's, not the protocol's"
    )
    key = str(frame["protocol_id"].iloc[0])
    fields = dict(protocol_view(report_data(shared_runs), key).rows)
    assert fields["seed"] == str(shared_runs[0].scores[0].protocol.seed)
    assert list(frame["protocol_seed"]) == [score.protocol.seed for run in shared_runs for score in run.scores]


def test_protocols_are_never_mixed(shared_runs: list[StoredRun]) -> None:
    data = report_data(shared_runs)
    assert len(data.protocols) == 2
    for table in (data.summary, data.leaderboard):
        assert table.groupby("protocol_id")["extractor"].nunique().eq(1).all()
    for _, board in data.leaderboard.groupby("protocol_id"):
        assert sorted(board["rank"]) == [1, 2], "each protocol has a ranking of its own"
    assert len(data.leaderboard) == 4


def test_other_sample_counts_are_another_protocol(tmp_path: Path) -> None:
    runs = [
        build(tmp_path, make_spec(seed=0), pictures=False),
        build(tmp_path, make_spec(seed=1, evaluation=Evaluation(samples=2000)), pictures=False),
    ]
    board = report_data(runs).leaderboard
    assert list(board["n"]) == [1, 1]
    assert set(board["n_fake"]) == {10_000, 2_000}


def test_no_run_is_lost(shared_runs: list[StoredRun]) -> None:
    summary = report_data(shared_runs).summary
    for _, table in summary.groupby("protocol_id"):
        assert table["n_runs"].sum() == len(shared_runs)
        assert table["n_diverged"].sum() == 1
        assert table["n_failed"].sum() == 1
    lost = summary[summary["lr_g"] == 4e-4]
    assert lost["n"].eq(0).all()
    assert lost["mean"].isna().all()


def test_summary_statistics_of_known_values(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", seed, fid) for seed, fid in enumerate([6.0, 8.0, 10.0])]
    row = report_data(runs).summary.iloc[0]
    assert (row["n"], row["mean"], row["std"], row["median"]) == (3, 8.0, 2.0, 8.0)
    assert 6 <= row["interval_low"] < 8 < row["interval_high"] <= 10
    assert row["floor"] == 0.4
    assert row["noise"] == 310.0


def test_leaderboard_stands_at_the_best_rate_and_says_so(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", s, fid, lr) for lr, fid in ((1e-4, 9.0), (2e-4, 5.0)) for s in (0, 1)]
    row = report_data(runs).leaderboard.iloc[0]
    assert (row["lr_g"], row["n_rates"]) == (2e-4, 2)
    assert "optimistic" in row["rate_choice"]
    only = report_data(runs[:2]).leaderboard.iloc[0]
    assert only["rate_choice"] == "the only rate"


def test_a_rate_that_diverges_is_no_better_rate(tmp_path: Path) -> None:
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


def losing(folder: Path, lost: int, survivors: list[float], steady: list[float]) -> ReportData:
    """One model with diverged trainings and better survivors, and one that never diverges."""
    runs = [fixed(folder, "dcgan28", seed, fid) for seed, fid in enumerate(survivors)]
    runs += [fixed(folder, "vanilla", seed, fid) for seed, fid in enumerate(steady)]
    for seed in range(len(survivors), len(survivors) + lost):
        runs.append(build(folder, make_spec("dcgan28", seed), pictures=False, status="diverged"))
    return report_data(runs)


def test_who_mostly_diverges_is_not_ranked_by_the_survivors(tmp_path: Path) -> None:
    data = losing(tmp_path, 3, [51.0, 52.0], [56.0, 57.0, 58.0])
    assert list(data.leaderboard["label"]) == ["vanilla", "dcgan28"]
    assert list(data.leaderboard["median_of_all"]) == [57.0, float("inf")]
    assert conclusions(data, data.protocols[0])[0].endswith("Diverged: 3 of 5 trainings of dcgan28.")


def test_who_seldom_diverges_keeps_its_rank(tmp_path: Path) -> None:
    data = losing(tmp_path, 1, [51.0, 52.0, 53.0], [56.0, 57.0, 58.0, 59.0])
    assert list(data.leaderboard["label"]) == ["dcgan28", "vanilla"]
    assert list(data.leaderboard["median_of_all"]) == [52.5, 57.5]
    steady = losing(tmp_path, 0, [51.0, 52.0], [56.0, 57.0])
    assert "iverged" not in conclusions(steady, steady.protocols[0])[0]


def test_equal_medians_are_ranked_by_the_mean(tmp_path: Path) -> None:
    assert list(losing(tmp_path, 0, [1.0, 5.0, 9.0], [4.0, 5.0, 5.5]).leaderboard["label"]) == [
        "vanilla",
        "dcgan28",
    ]


def test_settings_that_differ_are_rows_of_their_own(tmp_path: Path) -> None:
    wide = {"beta1": 0.5, "beta2": 0.999, "z_dim": 100, "noise": "normal", "width": 2.0}
    runs = [fixed(tmp_path, "dcgan28", 0, 5.0), fixed(tmp_path, "dcgan28", 0, 6.0, settings=wide)]
    assert sorted(variants(runs).values()) == ["width=1.0", "width=2.0"]
    assert sorted(report_data(runs).leaderboard["label"]) == ["dcgan28 (width=1.0)", "dcgan28 (width=2.0)"]


def test_time_of_lanes_is_shared_out(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False, lanes=4, train_seconds=100.0)
    assert runs_frame([run])["train_seconds_per_run"].iloc[0] == 25.0


def test_no_runs_are_an_input_error() -> None:
    with pytest.raises(InputError, match="gan-bench run"):
        report_data([])


@pytest.mark.parametrize(
    ("rates", "text"),
    [((2e-4, 2e-4), "2e-4"), ((4e-4, 1e-4), "4e-4:1e-4"), ((1.5e-5, 1.5e-5), "1.5e-5"), ((1.0, 1.0), "1e0")],
)
def test_rates_are_written_as_people_type_them(rates: tuple[float, float], text: str) -> None:
    assert rate_text(*rates) == text


def test_epochs_are_kept(shared_runs: list[StoredRun]) -> None:
    epochs = report_data(shared_runs).epochs
    assert len(epochs) == sum(len(run.epochs) for run in shared_runs)
    assert isinstance(epochs, pd.DataFrame)
    assert len(make_epochs(make_spec())) == 25


def test_a_failed_run_costs_nothing_and_sets_no_condition(tmp_path: Path) -> None:
    runs = [fixed(tmp_path, "dcgan28", seed, 6.0, train_seconds=100.0) for seed in (0, 1)]
    nothing = {"g_params": 0, "d_params": 0, "train_seconds": 1.0, "device_name": "", "lanes": 8}
    lost = [
        build(tmp_path, make_spec(seed=seed), pictures=False, status="failed", epochs_list=[], **nothing)
        for seed in (2, 3, 4)
    ]
    data = report_data([*runs, *lost])
    for table in (data.summary, data.leaderboard):
        row = table.iloc[0]
        assert (row["g_params"], row["train_seconds_per_run"], row["lanes"]) == (2_310_000, 100.0, "1")
        assert (row["n_runs"], row["n_failed"]) == (5, 3)
    only = report_data(lost).summary.iloc[0]
    assert pd.isna(only["g_params"])
    assert only["lanes"] == ""
