"""The life of a run in the store: begin, write, finish, evaluate, discard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.run_folders import file_bytes, folder_of
from PIL import Image

from gan_bench.core.errors import RunError
from gan_bench.core.records import Checkpoint, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store

MakeScore = Callable[..., Score]
MakeRecord = Callable[..., RunRecord]
MakeSpec = Callable[..., TrainingSpec]
MakeCheckpoint = Callable[..., Checkpoint]
Train = Callable[[Store, TrainingSpec, int], None]


def test_a_run_folder_contains_the_files_of_the_contract(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    make_record: MakeRecord,
    make_checkpoint: MakeCheckpoint,
) -> None:
    trained(store, spec, 2)
    store.keep_best(spec, make_checkpoint(10))
    store.add_real_grid(spec, np.zeros((8, 8, 3), np.uint8))
    store.finish(spec, make_record(spec))
    folder = folder_of(store, spec)
    visible = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.name.startswith("."))
    assert visible == [
        "SHA256SUMS",
        "best.json",
        "best.safetensors",
        "checkpoint.json",
        "checkpoint.safetensors",
        "environment.json",
        "epochs.csv",
        "record.json",
        "samples",
        "samples/epoch_0001.png",
        "samples/epoch_0002.png",
        "samples/progress.gif",
        "samples/real.png",
        "scores.json",
        "spec.json",
    ]
    header, first, *_ = (folder / "epochs.csv").read_text().splitlines()
    assert header == "epoch,step,d_loss,g_loss,d_real_accuracy,d_fake_accuracy,epoch_seconds,images_per_second"
    assert first == "1,10,0.7,0.30000000000000004,0.5,0.3333333333333333,1.5,100000.0"
    assert TrainingSpec.model_validate_json((folder / "spec.json").read_text()).sha256 == spec.sha256


def test_done_and_diverged_runs_are_trained_and_a_failed_run_is_not(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord
) -> None:
    for seed, status in enumerate(("done", "diverged", "failed")):
        spec = make_spec(seed)
        assert store.begin(spec, {}) == 1
        assert not store.is_trained(spec)
        assert store.outcome(spec) is None
        assert store.unfinished() == [spec]
        store.finish(spec, make_record(spec, status))
        assert store.is_trained(spec) == (status != "failed")
        assert store.unfinished() == []
    assert [run.record.status for run in store.runs()] == [
        run.record.status for run in sorted(store.runs(), key=lambda run: run.spec.run_id)
    ]
    assert len(store.runs()) == 3
    assert store.begin(make_spec(2), {}) == 2
    assert store.outcome(make_spec(2)) is None
    with pytest.raises(RunError, match="--fresh"):
        store.begin(make_spec(0), {})


def test_expected_runs_are_unfinished_until_they_have_an_outcome(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord
) -> None:
    specs = [make_spec(seed) for seed in range(3)]
    store.begin(specs[0], {})
    store.finish(specs[0], make_record(specs[0]))
    store.expect(specs)
    assert {spec.seed for spec in store.unfinished()} == {1, 2}
    assert store.resume(specs[1]) is None
    assert store.begin(specs[1], {}) == 1
    assert store.record_failure(specs[2], "killed").attempts == 1
    assert store.unfinished() == [specs[1]]


def test_killed_attempts_are_counted(store: Store, spec: TrainingSpec) -> None:
    assert [store.begin(spec, {}) for _ in range(3)] == [1, 2, 3]


def test_claim_removes_temporary_files_of_killed_processes(store: Store, spec: TrainingSpec) -> None:
    (folder_of(store, spec) / "samples").mkdir(parents=True)
    (folder_of(store, spec) / ".spec.json.0.0123abcd.tmp").write_text("torn")
    (folder_of(store, spec) / "samples" / ".real.png.0.0123abcd.tmp").write_text("torn")
    assert store.claim(spec)
    assert [p.name for p in folder_of(store, spec).rglob("*") if p.is_file()] == [".lease.1"]


def test_claim_of_a_trained_run_succeeds_and_changes_nothing(
    store: Store, spec: TrainingSpec, trained: Train, make_record: MakeRecord
) -> None:
    """An evaluation claims trained runs; training asks `is_trained` after the claim."""
    trained(store, spec, 1)
    store.finish(spec, make_record(spec))
    store.release(spec)
    before = file_bytes(folder_of(store, spec))
    assert store.claim(spec)
    assert store.is_trained(spec)
    assert store.resume(spec) is None
    with pytest.raises(RunError, match="already trained; --fresh trains it again"):
        store.begin(spec, {})
    store.release(spec)
    assert file_bytes(folder_of(store, spec)) == before


def test_finish_keeps_the_lease_until_it_is_released(
    store: Store, spec: TrainingSpec, trained: Train, make_record: MakeRecord
) -> None:
    trained(store, spec, 1)
    store.finish(spec, make_record(spec))
    assert store.is_running(spec)
    store.release(spec)
    assert not store.is_running(spec)


def test_finish_refuses_the_record_of_another_run(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord
) -> None:
    store.begin(make_spec(0), {})
    with pytest.raises(ValueError, match="the record is of"):
        store.finish(make_spec(0), make_record(make_spec(1)))
    assert not store.is_trained(make_spec(0))


def test_discard_removes_the_run_and_no_other(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord
) -> None:
    for seed in (0, 1):
        trained(store, make_spec(seed), 1)
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    store.discard(make_spec(0))
    store.discard(make_spec(5))
    assert [p.name for p in (store.root / "runs").iterdir()] == [make_spec(1).run_id]
    assert store.begin(make_spec(0), {}) == 1


def test_record_failure_records_a_dead_worker(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord
) -> None:
    trained(store, make_spec(0), 2)
    record = store.record_failure(make_spec(0), "killed")
    assert (record.status, record.reason, record.attempts, record.steps) == ("failed", "killed", 1, 20)
    assert store.outcome(make_spec(0)) == record
    assert store.record_failure(make_spec(1), "killed before it started").attempts == 1
    trained(store, make_spec(2), 1)
    store.finish(make_spec(2), make_record(make_spec(2)))
    record = store.record_failure(make_spec(2), "killed while it was evaluated")
    assert (record.status, record.reason, record.succeeded) == ("done", "", False)
    assert record.failure == record.evaluation_failure == "killed while it was evaluated"
    assert store.outcome(make_spec(2)) == record
    assert store.is_trained(make_spec(2))


def test_an_evaluation_adds_scores_and_replaces_the_record(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    make_score: MakeScore,
    make_record: MakeRecord,
    notices: list[str],
) -> None:
    trained(store, spec, 1)
    store.finish(spec, make_record(spec, train_seconds=2.0))
    store.release(spec)
    (before,) = store.runs()
    new = [make_score(step=10).model_copy(update={"draw": 1}), make_score(step=10, metric="kid_mean")]
    record = before.record.model_copy(update={"verdict": "ok", "eval_seconds": 3.0})
    assert store.claim(spec)
    assert store.add_evaluation(spec, new, record) == record
    store.release(spec)
    (after,) = store.runs()
    assert after.record == record
    assert after.scores == [*before.scores, *new]
    assert (after.spec, after.epochs, after.environment) == (before.spec, before.epochs, before.environment)
    assert store.add_evaluation(spec, new, record) == record
    assert store.scores(spec) == [*before.scores, *new]
    assert notices == []


def test_a_run_that_was_trained_without_scores_is_evaluated_later(
    store: Store, spec: TrainingSpec, make_score: MakeScore, make_record: MakeRecord, notices: list[str]
) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    assert store.scores(spec) == []
    store.add_evaluation(spec, [make_score()], make_record(spec))
    assert store.scores(spec) == [make_score()]
    assert store.is_trained(spec)
    assert notices == []


def test_the_gif_has_at_most_60_frames_and_shows_the_last_one_longer(
    store: Store, spec: TrainingSpec, make_record: MakeRecord
) -> None:
    store.begin(spec, {})
    for epoch in range(1, 101):
        grid = np.random.default_rng(epoch).integers(0, 255, (16, 16), dtype=np.uint8)
        store.add_grid(spec, epoch, grid)
    store.finish(spec, make_record(spec))
    with Image.open(folder_of(store, spec) / "samples" / "progress.gif") as gif:
        assert gif.n_frames == 60  # type: ignore[attr-defined]
        assert gif.info["duration"] < 500
        gif.seek(59)
        assert gif.info["duration"] >= 1000
        np.testing.assert_array_equal(np.asarray(gif.convert("L")), grid)


def test_finish_without_a_gif_where_a_grid_is_damaged(
    store: Store, spec: TrainingSpec, make_record: MakeRecord, notices: list[str]
) -> None:
    store.begin(spec, {})
    store.add_grid(spec, 1, np.zeros((16, 16), np.uint8))
    path = folder_of(store, spec) / "samples" / "epoch_0001.png"
    path.write_bytes(path.read_bytes()[:40])
    store.finish(spec, make_record(spec))
    assert store.is_trained(spec)
    assert "damaged image" in notices[0]


@pytest.mark.parametrize("shape", [(8, 8, 1), (8,), (8, 8, 4)])
def test_a_grid_of_another_shape_is_refused(store: Store, spec: TrainingSpec, shape: tuple[int, ...]) -> None:
    store.begin(spec, {})
    with pytest.raises(ValueError, match="a grid is uint8"):
        store.add_grid(spec, 1, np.zeros(shape, np.uint8))
