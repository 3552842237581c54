"""What counts as one training, whatever it was evaluated with."""

from pathlib import Path

import pytest
from made_runs import build, build_many, make_scores, make_spec

from gan_bench.record import StoredRun
from gan_bench.report.data import report_data
from gan_bench.report.plotting import plots
from gan_bench.report.results import results_frame
from gan_bench.report.story import not_shown
from gan_bench.spec import Evaluation

LATER = "2026-03-02T10:00:00+00:00"


def once(folder: Path, seeds: range = range(3)) -> list[StoredRun]:
    return build_many(folder, ["dcgan28"], seeds, lrs=(2e-4,), pictures=False)


def again(folder: Path, seed: int, metrics: tuple[str, ...] = (), **changes: object) -> StoredRun:
    """A run of the same training, evaluated after every epoch; only `metrics` measured where some are named."""
    spec = make_spec("dcgan28", seed, evaluation=Evaluation(every=1))
    scores = make_scores(make_spec("dcgan28", seed), ["mnist-cnn"], [25])
    kept = [score for score in scores if not metrics or score.metric in metrics]
    return build(folder, spec, pictures=False, **{"scores": kept, "finished_at": LATER, **changes})


def test_a_training_that_is_evaluated_twice_counts_once(tmp_path: Path) -> None:
    repeats = [again(tmp_path, seed) for seed in range(3)]
    data = report_data([*once(tmp_path), *repeats])
    assert list(data.leaderboard["n"]) == [3]
    assert list(data.leaderboard["n_runs"]) == [3]
    assert set(data.results["run_id"]) == {run.record.run_id for run in repeats}, "the newest stand for all"
    assert len(data.runs) == 6, "runs.csv keeps them all"
    assert not_shown(data)[0].startswith("3 runs repeat trainings")
    assert report_data(once(tmp_path)).leaderboard["std"].equals(data.leaderboard["std"])


def test_nothing_is_said_of_repeats_where_there_are_none(tmp_path: Path) -> None:
    assert not [line for line in not_shown(report_data(once(tmp_path))) if "repeat" in line]


def test_a_training_keeps_the_scores_of_each_of_its_protocols(tmp_path: Path) -> None:
    fewer = build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False, evaluation=Evaluation(samples=2000))
    data = report_data([*once(tmp_path), *fewer])
    assert list(data.leaderboard["n"]) == [3, 3]
    assert set(data.leaderboard["n_fake"]) == {10_000, 2_000}


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_repeat_without_a_result_takes_none_away(tmp_path: Path, status: str) -> None:
    results = results_frame([*once(tmp_path), again(tmp_path, 0, status=status)])
    assert list(results["status"]) == ["done", "done", "done"]


def test_a_repeat_that_measured_less_takes_no_score_away(tmp_path: Path) -> None:
    for metrics in (("kid_mean",), ("fid",)):
        results = results_frame([*once(tmp_path), again(tmp_path, 0, metrics)])
        assert len(results) == 3
        assert results[["score_fid", "score_kid_mean"]].notna().all(axis=None)


def test_a_repeat_that_measured_other_things_takes_no_headline_away(tmp_path: Path) -> None:
    others = ("kid_mean", "precision", "recall")
    short = again(tmp_path, 0, ("fid",), finished_at="2026-03-01T10:00:00+00:00")
    spec = make_spec("dcgan28", 0, evaluation=Evaluation(every=2))
    scores = [score for score in make_scores(make_spec(), ["mnist-cnn"], [25]) if score.metric in others]
    long = build(tmp_path, spec, pictures=False, scores=scores, finished_at=LATER)
    assert list(results_frame([short, long])["run_id"]) == [short.record.run_id]


def test_a_training_that_diverged_is_not_hidden_by_a_repeat_that_failed(tmp_path: Path) -> None:
    lost = build(tmp_path, make_spec("dcgan28", 0), pictures=False, status="diverged")
    results = results_frame([lost, again(tmp_path, 0, status="failed"), *once(tmp_path, range(1, 3))])
    assert sorted(results["status"]) == ["diverged", "done", "done"]


def test_a_training_is_drawn_once(tmp_path: Path) -> None:
    figure = plots.get("losses")(report_data([*once(tmp_path), again(tmp_path, 0)]))
    assert figure is not None
    assert [len(ax.lines) for ax in figure.axes] == [3] * 4


def test_a_diverged_training_is_told_once(tmp_path: Path) -> None:
    lost = [
        build(tmp_path, make_spec("dcgan28", 0, evaluation=Evaluation(every=every)), False, status="diverged")
        for every in (1, 5)
    ]
    data = report_data([*lost, *once(tmp_path, range(1, 3))])
    assert any(line.startswith("1 training diverged") for line in not_shown(data))
    assert int(data.leaderboard["n_diverged"].iloc[0]) == 1
