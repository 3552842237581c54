"""Epochs and scores of a run: adding them, and restoring them when the run is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from helpers.run_folders import file_bytes, folder_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_bench.core.records import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import history
from gan_bench.store.store import Store

MakeEpoch = Callable[..., EpochRecord]
MakeScore = Callable[..., Score]
MakeRecord = Callable[..., RunRecord]
MakeSpec = Callable[..., TrainingSpec]
MakeCheckpoint = Callable[..., Checkpoint]
Train = Callable[[Store, TrainingSpec, int], None]


FLOATS = st.sampled_from([float("nan"), float("inf"), float("-inf")]) | st.floats(-1e39, 1e39)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5))
def test_any_loss_and_score_reads_back_equal(
    store: Store,
    make_spec: MakeSpec,
    make_score: MakeScore,
    make_record: MakeRecord,
    values: list[tuple[float, float]],
) -> None:
    spec = make_spec()
    store.discard(spec)
    store.begin(spec, {})
    for number, (d_loss, score) in enumerate(values, 1):
        epoch = EpochRecord(
            epoch=number, step=number, d_loss=d_loss, g_loss=score, d_real_accuracy=0, d_fake_accuracy=0,
            epoch_seconds=number, images_per_second=0,
        )  # fmt: skip
        store.add_epoch(spec, epoch)
        store.add_scores(spec, [make_score(step=number, value=score)])
    store.finish(spec, make_record(spec, "diverged", train_seconds=0.1))
    (run,) = store.runs()
    assert [(repr(e.d_loss), repr(e.g_loss)) for e in run.epochs] == [(repr(d), repr(s)) for d, s in values]
    expected = [repr(s if np.isfinite(s) else float("nan")) for _, s in values]
    assert [repr(score.value) for score in run.scores] == expected
    assert run.record.train_seconds == 0.1


def test_resume_drops_epochs_scores_and_best_weights_after_the_checkpoint(
    store: Store, spec: TrainingSpec, trained: Train, make_epoch: MakeEpoch, make_score: MakeScore,
    make_checkpoint: MakeCheckpoint,
) -> None:  # fmt: skip
    trained(store, spec, 2)
    store.keep_best(spec, make_checkpoint(20))
    store.checkpoint(spec, make_checkpoint(20))
    store.add_epoch(spec, make_epoch(3))
    store.add_scores(spec, [make_score(step=30), make_score(step=30, metric="kid_mean")])
    store.add_grid(spec, 3, np.zeros((8, 8), np.uint8))
    store.keep_best(spec, make_checkpoint(30))
    store.keep_best(spec, make_checkpoint(40))
    found = store.resume(spec)
    assert found is not None
    assert found.state == {"epoch": 2, "step": 20}
    folder = folder_of(store, spec)
    assert len((folder / "epochs.csv").read_text().splitlines()) == 3
    assert [score["step"] for score in json.loads((folder / "scores.json").read_text())] == [10, 20]
    best = store.weights(spec, "best")
    assert best is not None
    assert best.state["step"] == 20


def test_resume_keeps_a_partial_last_epoch(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    make_epoch: MakeEpoch,
    make_checkpoint: MakeCheckpoint,
) -> None:
    trained(store, spec, 1)
    store.add_epoch(spec, make_epoch(2, step=13))
    store.add_grid(spec, 2, np.zeros((8, 8), np.uint8))
    store.checkpoint(spec, Checkpoint(make_checkpoint(13).arrays, {"epoch": 1, "step": 13}))
    store.resume(spec)
    assert len((folder_of(store, spec) / "epochs.csv").read_text().splitlines()) == 3
    assert (folder_of(store, spec) / "samples" / "epoch_0002.png").exists()


def test_resume_without_a_checkpoint_clears_the_history(
    store: Store, spec: TrainingSpec, make_epoch: MakeEpoch, make_score: MakeScore, make_record: MakeRecord
) -> None:
    assert store.resume(spec) is None
    store.begin(spec, {})
    store.add_epoch(spec, make_epoch(1))
    store.add_scores(spec, [make_score()])
    assert store.resume(spec) is None
    assert store.unfinished() == [spec]
    store.finish(spec, make_record(spec))
    assert store.runs()[0].epochs == []


def test_resume_changes_nothing_in_a_trained_run(
    store: Store, spec: TrainingSpec, trained: Train, make_record: MakeRecord
) -> None:
    trained(store, spec, 2)
    store.finish(spec, make_record(spec))
    before = file_bytes(folder_of(store, spec))
    assert store.resume(spec) is None
    assert before == file_bytes(folder_of(store, spec))


@pytest.mark.parametrize(("name", "old", "new"), [("epochs.csv", b"0.7", b"0.6"), ("scores.json", b"6.5", b"9.5")])
@pytest.mark.parametrize("how", ["changed", "torn", "removed"])
def test_a_damaged_history_is_restored_from_the_checkpoint_with_a_notice(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    notices: list[str],
    name: str,
    old: bytes,
    new: bytes,
    how: str,
) -> None:
    trained(store, spec, 2)
    path = folder_of(store, spec) / name
    sound = path.read_bytes()
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(sound[:30] if how == "torn" else sound.replace(old, new, 1))
    found = store.resume(spec)
    assert found is not None
    assert found.state == {"epoch": 2, "step": 20}
    assert path.read_bytes() == sound
    (notice,) = notices
    assert name in notice
    assert "restored from the checkpoint" in notice


def test_an_epoch_or_score_that_is_added_again_replaces_the_first(
    store: Store, spec: TrainingSpec, make_epoch: MakeEpoch, make_score: MakeScore, make_record: MakeRecord
) -> None:
    store.begin(spec, {})
    for d_loss in (0.1, 0.2):
        store.add_epoch(spec, make_epoch(1, d_loss=d_loss))
        store.add_scores(spec, [make_score(value=d_loss)])
    store.finish(spec, make_record(spec))
    (run,) = store.runs()
    assert [epoch.d_loss for epoch in run.epochs] == [0.2]
    assert [score.value for score in run.scores] == [0.2]


def test_scores_that_differ_in_draw_step_protocol_or_checkpoint_are_kept_apart(make_score: MakeScore) -> None:
    old = make_score(value=1.0)
    protocol = old.protocol.model_copy(update={"n_fake": 200})
    changes: list[dict[str, object]] = [
        {"draw": 1}, {"step": 31}, {"epoch": 4}, {"checkpoint": "best"}, {"metric": "kid_mean"},
        {"protocol": protocol},
    ]  # fmt: skip
    others = [old.model_copy(update=change) for change in changes]
    assert history.merged([old], others) == [old, *others]
    new = make_score(value=2.0)
    assert history.merged([old, *others], [new]) == [*others, new]
