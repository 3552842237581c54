"""Values of trainings under each protocol, and the order of protocols."""

from pathlib import Path

import pytest
from helpers.made_runs import build, build_many, make_scores, make_spec, protocol

from gan_bench.core.records import StoredRun
from gan_bench.report.dataframes import primary_scores, protocol_order
from gan_bench.report.limitations import limitations
from gan_bench.report.plots.base import plots
from gan_bench.report.report_data import report_data
from gan_bench.report.training_scores import training_scores

LATER = "2026-03-02T10:00:00+00:00"


def trained(folder: Path, seeds: range = range(3), **evaluation: object) -> list[StoredRun]:
    return build_many(folder, ["dcgan28"], seeds, lrs=(2e-4,), pictures=False, evaluation=evaluation)


def also_evaluated(run: StoredRun, **evaluation: object) -> StoredRun:
    """Return the run with the scores of another evaluation appended."""
    scores = [*run.scores, *make_scores(run.spec, **evaluation)]  # type: ignore[arg-type]
    return StoredRun(run.spec, run.record, run.epochs, scores, run.environment, run.folder)


def test_a_training_under_two_protocols_counts_once_in_each(tmp_path: Path) -> None:
    data = report_data([also_evaluated(run, n_fake=2000) for run in trained(tmp_path)])
    assert list(data.leaderboard["n"]) == [3, 3]
    assert list(data.leaderboard["n_runs"]) == [3, 3]
    assert set(data.leaderboard["n_fake"]) == {10_000, 2_000}
    assert len(data.runs) == 3


def test_a_run_without_a_protocol_s_scores_is_not_in_its_table(tmp_path: Path) -> None:
    first, *others = trained(tmp_path)
    data = report_data([also_evaluated(first, n_fake=2000), *others])
    assert dict(zip(data.leaderboard["n_fake"], data.leaderboard["n_runs"], strict=True)) == {10_000: 3, 2_000: 1}


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_an_unfinished_run_has_an_empty_row_under_each_protocol_of_its_data(tmp_path: Path, status: str) -> None:
    runs = [also_evaluated(run, extractors=["inception"]) for run in trained(tmp_path)]
    other = build(tmp_path, make_spec(dataset="kmnist"), pictures=False, n_fake=2000)
    unfinished = build(tmp_path, make_spec("vanilla"), pictures=False, status=status)
    frame = training_scores([*runs, other, unfinished])
    own = frame[frame["run_id"] == unfinished.record.run_id]
    assert sorted(own["extractor"]) == ["inception", "mnist-cnn"]
    assert own["value"].isna().all()
    assert set(own["dataset"]) == {"mnist"}
    assert not set(own["protocol_id"]) & set(frame.loc[frame["dataset"] == "kmnist", "protocol_id"])


def test_another_image_size_has_its_own_protocols(tmp_path: Path) -> None:
    diverged = build(tmp_path, make_spec("dcgan64", image_size=64), pictures=False, status="diverged")
    frame = training_scores([*trained(tmp_path), diverged])
    assert list(frame.loc[frame["image_size"] == 64, "protocol_id"]) == [""]


def test_intermediate_scores_are_not_a_training_s_value(tmp_path: Path) -> None:
    spec = make_spec()
    scores = [*make_scores(spec, epochs=[5], n_fake=2000), *make_scores(spec)]
    data = report_data([build(tmp_path, spec, pictures=False, scores=scores)])
    assert list(data.training_scores["n_fake"]) == [10_000], "the 2,000 were of epoch 5 only"
    assert len(data.scores) == 14, "scores.csv has all scores"


def test_metrics_that_were_added_later_join_the_same_row(tmp_path: Path) -> None:
    spec = make_spec()
    fid, *others = make_scores(spec)
    run = build(tmp_path, spec, pictures=False, scores=[*others, fid])
    (row,) = training_scores([run]).to_dict("records")
    assert (row["metric"], row["value"]) == ("fid", fid.value)
    assert row["score_kid_mean"] == next(score.value for score in others if score.metric == "kid_mean")


def order(runs: list[StoredRun]) -> list[tuple[str, int]]:
    """Return the extractor and sample count of each protocol, in order."""
    protocols = {score.protocol.protocol_id: score.protocol for run in runs for score in run.scores}
    return [(protocols[key].extractor, protocols[key].n_fake) for key in protocol_order(runs)]


def test_the_protocol_with_most_runs_is_the_main_one(tmp_path: Path) -> None:
    first, *others = trained(tmp_path, extractors=["inception"])
    runs = [also_evaluated(first), *others]
    assert order(runs) == [("inception", 10_000), ("mnist-cnn", 10_000)]
    assert {score.protocol.extractor for score in primary_scores(runs[0]).values()} == {"mnist-cnn"}
    assert {s.protocol.extractor for s in primary_scores(runs[0], protocol_order(runs)).values()} == {"inception"}


def test_of_protocols_with_equal_runs_the_data_set_s_own_extractor_is_first(tmp_path: Path) -> None:
    runs = [also_evaluated(run, extractors=["inception"]) for run in trained(tmp_path)]
    assert order(runs) == [("mnist-cnn", 10_000), ("inception", 10_000)]


def test_of_protocols_equal_otherwise_the_newest_is_first(tmp_path: Path) -> None:
    (run,) = trained(tmp_path, range(1))
    assert order([also_evaluated(run, n_fake=2000)]) == [("mnist-cnn", 2000), ("mnist-cnn", 10_000)]
    old = build(tmp_path, make_spec(seed=0), pictures=False, n_fake=2000)
    new = build(tmp_path, make_spec(seed=1), pictures=False, finished_at=LATER)
    assert order([old, new]) == order([new, old]) == [("mnist-cnn", 10_000), ("mnist-cnn", 2000)]


def test_of_protocols_of_one_age_the_smallest_id_is_first(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(seed=s), pictures=False, n_fake=n) for s, n in enumerate((1000, 2000))]
    ids = sorted(protocol(n_fake=n).protocol_id for n in (1000, 2000))
    assert protocol_order(runs) == protocol_order(runs[::-1]) == ids


def test_titles_name_what_sets_protocols_apart(tmp_path: Path) -> None:
    spec = make_spec()
    other = protocol().model_copy(
        update={"reference_split": "train", "batch_norm": "batch of 500", "weights": "ema"}
    )
    scores = [*make_scores(spec), *(score.model_copy(update={"protocol": other}) for score in make_scores(spec))]
    data = report_data([build(tmp_path, spec, pictures=False, scores=scores)])
    assert sorted(map(data.protocol_title, data.protocols)) == [
        f"mnist, mnist-cnn, 10,000 generated against 10,000 real test images [{protocol().protocol_id}]",
        "mnist, mnist-cnn, ema weights, BatchNorm batch of 500, 10,000 generated against 10,000 real train images "
        f"[{other.protocol_id}]",
    ]


def test_each_run_is_one_line_of_losses(tmp_path: Path) -> None:
    figure = plots.get("losses")(report_data(trained(tmp_path)))
    assert figure is not None
    assert [len(ax.lines) for ax in figure.axes] == [3] * 4


def test_a_diverged_training_is_counted_once_over_all_protocols(tmp_path: Path) -> None:
    diverged = build(tmp_path, make_spec("dcgan28", 0), pictures=False, status="diverged")
    runs = [also_evaluated(run, n_fake=2000) for run in trained(tmp_path, range(1, 3))]
    data = report_data([diverged, *runs])
    assert any(line.startswith("1 training diverged") for line in limitations(data))
    assert list(data.leaderboard["n_diverged"]) == [1, 1]
