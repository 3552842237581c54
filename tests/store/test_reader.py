"""Reading a results folder: whole runs, damaged ones, lookups; nothing is changed."""

from __future__ import annotations

import json
import os
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.run_folders import RUN_FILES, WEIGHT_FILES, folder_of

from gan_bench.core.errors import InputError, RunError
from gan_bench.core.records import Checkpoint, EpochRecord, RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store.store import Store

MakeEpoch = Callable[..., EpochRecord]
MakeScore = Callable[..., Score]
MakeRecord = Callable[..., RunRecord]
MakeSpec = Callable[..., TrainingSpec]
MakeCheckpoint = Callable[..., Checkpoint]
Train = Callable[[Store, TrainingSpec, int], None]


def test_a_stored_run_reads_back_equal(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    make_epoch: MakeEpoch,
    make_score: MakeScore,
    make_record: MakeRecord,
) -> None:
    trained(store, spec, 3)
    record = make_record(spec, train_seconds=0.1, peak_memory_bytes=2**40, verdict="ok")
    store.finish(spec, record)
    (run,) = Store.open(store.root, create=False).runs()
    assert run.spec == spec
    assert run.record == record
    assert run.epochs == [make_epoch(n) for n in (1, 2, 3)]
    assert run.scores == [make_score(step=n) for n in (10, 20, 30)]
    assert run.environment["torch"] == "2"
    assert run.folder == folder_of(store, spec)
    weights = store.weights(spec)
    assert weights is not None
    assert weights.state["step"] == 30


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("damage", [b"", b"{", b"[1", b"\xff\xfe", b"[" * 100_000, b"null", b"a,b\n1,2\n"])
def test_a_run_with_a_damaged_file_is_skipped_with_one_notice(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord, notices: list[str],
    name: str, damage: bytes,
) -> None:  # fmt: skip
    for seed in (0, 1):
        trained(store, make_spec(seed), 1)
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    (folder_of(store, make_spec(0)) / name).write_bytes(damage)
    runs = store.runs()
    assert [run.spec for run in runs] == [make_spec(1)]
    assert len(notices) == 1
    assert str(folder_of(store, make_spec(0)) / name) in notices[0]


def test_a_spec_of_another_run_in_the_folder_is_refused(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, notices: list[str]
) -> None:
    ours, other = make_spec(0), make_spec(1)
    store.begin(ours, {})
    store.finish(ours, make_record(ours))
    (folder_of(store, ours) / "spec.json").write_text(other.model_dump_json())
    assert store.runs() == []
    assert not store.is_trained(ours)
    assert all("spec.json: was changed after it was written" in notice for notice in notices)
    (folder_of(store, ours) / "SHA256SUMS").unlink()
    assert store.runs() == []
    assert f"describes {other.run_id}" in notices[-1]
    with pytest.raises(RunError):
        store.begin(ours, {})


@pytest.mark.parametrize(
    ("version", "advice"),
    [(1, r"earlier gan_bench \(schema 1; this one reads 2\); choose another --out"), (3, "newer gan_bench")],
)
def test_a_record_of_another_schema_version_is_skipped_with_a_notice(
    store: Store, spec: TrainingSpec, make_record: MakeRecord, notices: list[str], version: int, advice: str
) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    path = folder_of(store, spec) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": version, "removed_field": 1}))
    assert store.runs() == []
    (notice,) = notices
    assert re.search(advice, notice)
    assert "\n" not in notice


def test_lanes_of_an_unfinished_run_are_read_from_its_environment(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, make_checkpoint: MakeCheckpoint
) -> None:
    spec, without_checkpoint, damaged = make_spec(0), make_spec(1), make_spec(2)
    store.begin(spec, {"lanes": 4})
    assert store.started_lanes(spec) is None, "it starts over, so with any number of lanes"
    store.checkpoint(spec, make_checkpoint(10))
    assert store.started_lanes(spec) == 4
    assert store.started_lanes(without_checkpoint) is None
    store.begin(damaged, {"lanes": "many"})
    store.checkpoint(damaged, make_checkpoint(10))
    assert store.started_lanes(damaged) is None
    (folder_of(store, damaged) / "environment.json").write_text("{")
    assert store.started_lanes(damaged) is None
    store.finish(spec, make_record(spec))
    assert store.started_lanes(spec) is None


def test_scores_are_read_whether_or_not_the_run_has_an_outcome(
    store: Store, spec: TrainingSpec, trained: Train, make_score: MakeScore, notices: list[str]
) -> None:
    assert store.scores(spec) == []
    trained(store, spec, 2)
    assert store.scores(spec) == [make_score(step=10), make_score(step=20)]
    (folder_of(store, spec) / "scores.json").write_text("[{}]")
    assert notices == []
    assert store.scores(spec) == []
    assert "scores.json" in notices[0]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("name", [*RUN_FILES, *WEIGHT_FILES, "samples/epoch_0001.png"])
def test_a_pickle_in_any_file_is_never_loaded(
    store: Store, spec: TrainingSpec, trained: Train, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, name: str, make_checkpoint: MakeCheckpoint,
) -> None:  # fmt: skip
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    trained(store, spec, 1)
    store.keep_best(spec, make_checkpoint(10))
    store.finish(spec, make_record(spec, "failed"))
    (folder_of(store, spec) / name).write_bytes(pickle.dumps(Bomb()))
    store.runs()
    store.unfinished()
    store.weights(spec, "last")
    store.weights(spec, "best")
    store.finish(spec, make_record(spec, "failed"))
    store.resume(spec)
    assert not (tmp_path / "exploded").exists()


def test_links_out_of_the_results_folder_are_refused(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord, tmp_path: Path, notices: list[str]
) -> None:
    for seed in (0, 1, 2):
        trained(store, make_spec(seed), 1)
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    outside = tmp_path / "outside"
    folder_of(store, make_spec(0)).rename(outside)
    folder_of(store, make_spec(0)).symlink_to(outside)
    scores = folder_of(store, make_spec(1)) / "scores.json"
    scores.unlink()
    scores.symlink_to(outside / "scores.json")
    assert [run.spec for run in store.runs()] == [make_spec(2)]
    assert all("is a link" in notice for notice in notices)
    assert len(notices) == 2
    before = sorted(outside.rglob("*"))
    for attempt in (
        lambda: store.begin(make_spec(0), {}),
        lambda: store.discard(make_spec(0)),
        lambda: store.add_grid(make_spec(0), 1, np.zeros((2, 2), np.uint8)),
    ):
        with pytest.raises(RunError, match="is a link"):
            attempt()
    assert sorted(outside.rglob("*")) == before


def test_grids_are_not_written_through_a_link(store: Store, spec: TrainingSpec, tmp_path: Path) -> None:
    store.begin(spec, {})
    samples = folder_of(store, spec) / "samples"
    samples.rmdir()
    samples.symlink_to(tmp_path)
    with pytest.raises(RunError, match="is a link"):
        store.add_grid(spec, 1, np.zeros((2, 2), np.uint8))
    assert not (tmp_path / "epoch_0001.png").exists()


def test_find_accepts_an_id_a_prefix_or_a_hash(store: Store, make_spec: MakeSpec, make_record: MakeRecord) -> None:
    for seed in (0, 1):
        store.begin(make_spec(seed), {})
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    store.begin(make_spec(2), {})
    zero = make_spec(0)
    for text in (zero.run_id, zero.run_id[:-3], zero.sha256[:8]):
        assert store.find(text).spec == zero
    for text, message in [
        ("vanilla", "matches 3 runs"),
        ("", "gan-bench status"),
        ("venilla-bce-digits28-lr0.0002-s0", "did you mean vanilla-bce-digits28-lr0.0002-s"),
        (make_spec(2).run_id, "no result yet"),
        ("../../etc/passwd", "is not in"),
    ]:
        with pytest.raises(InputError, match=message):
            store.find(text)


def test_reading_writes_nothing(store: Store, spec: TrainingSpec, trained: Train, make_record: MakeRecord) -> None:
    trained(store, spec, 1)
    store.finish(spec, make_record(spec))
    (store.root / "store.json").unlink()
    before = sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*"))
    other = Store.open(store.root, create=False)
    other.runs()
    other.find(spec.run_id)
    other.weights(spec)
    other.unfinished()
    assert sorted((p, p.stat().st_mtime_ns) for p in store.root.rglob("*")) == before


def test_250_runs_are_read_within_1_25_seconds_of_cpu_time(
    store: Store, make_spec: MakeSpec, make_epoch: MakeEpoch, make_score: MakeScore, make_record: MakeRecord
) -> None:
    first = make_spec(0)
    store.begin(first, {})
    for epoch in range(1, 26):
        store.add_epoch(first, make_epoch(epoch))
    store.add_scores(first, [make_score(metric=f"m{n}") for n in range(10)])
    store.finish(first, make_record(first))
    texts = {name: (folder_of(store, first) / name).read_text() for name in RUN_FILES[1:4]}
    for seed in range(1, 250):
        spec = make_spec(seed)
        folder = folder_of(store, spec)
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text)
        (folder / "spec.json").write_text(spec.model_dump_json())
        (folder / "record.json").write_text(make_record(spec).model_dump_json())
    start = time.process_time()
    assert len(store.runs()) == 250
    assert time.process_time() - start < 1.25
