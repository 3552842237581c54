from __future__ import annotations

import errno
import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_bench.errors import InputError, RunError
from gan_bench.record import Checkpoint, EpochRecord, RunRecord, RunSink, Score
from gan_bench.spec import RunSpec
from gan_bench.store.store import Store

MakeEpoch = Callable[..., EpochRecord]
MakeScore = Callable[..., Score]
MakeRecord = Callable[..., RunRecord]
MakeSpec = Callable[..., RunSpec]
Train = Callable[[Store, RunSpec, int], None]
RUN_FILES = ["spec.json", "environment.json", "epochs.csv", "scores.json", "record.json"]
WEIGHT_FILES = ["checkpoint.json", "checkpoint.safetensors", "best.json", "best.safetensors"]


def folder_of(store: Store, spec: RunSpec) -> Path:
    return store.root / "runs" / spec.run_id


def test_the_folder_is_what_the_contract_says(
    store: Store,
    spec: RunSpec,
    trained: Train,
    make_record: MakeRecord,
    make_checkpoint: Callable[..., Checkpoint],
) -> None:
    sink: RunSink = store
    trained(store, spec, 2)
    sink.keep_best(spec, make_checkpoint(10))
    sink.add_real_grid(spec, np.zeros((8, 8, 3), np.uint8))
    sink.finish(spec, make_record(spec))
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
    assert RunSpec.model_validate_json((folder / "spec.json").read_text()).sha256 == spec.sha256


def test_what_is_reported_comes_back(
    store: Store,
    spec: RunSpec,
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


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5))
def test_any_number_survives(
    store: Store,
    make_spec: MakeSpec,
    make_score: MakeScore,
    make_record: MakeRecord,
    values: list[tuple[float, float]],
) -> None:
    spec = make_spec()
    store.forget(spec)
    store.begin(spec, {})
    for number, (d_loss, score) in enumerate(values, 1):
        epoch = EpochRecord(
            epoch=number, step=number, d_loss=d_loss, g_loss=score, d_real_accuracy=0, d_fake_accuracy=0,
            epoch_seconds=d_loss, images_per_second=0,
        )  # fmt: skip
        store.add_epoch(spec, epoch)
        store.add_scores(spec, [make_score(step=number, value=score)])
    store.finish(spec, make_record(spec, "diverged", train_seconds=values[0][0]))
    (run,) = store.runs()
    assert [(repr(e.d_loss), repr(e.g_loss)) for e in run.epochs] == [(repr(d), repr(s)) for d, s in values]
    expected = [repr(s if np.isfinite(s) else float("nan")) for _, s in values]
    assert [repr(score.value) for score in run.scores] == expected
    assert np.isnan(run.record.train_seconds) or run.record.train_seconds == values[0][0]


def test_done_and_diverged_are_finished_and_failed_is_tried_again(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord
) -> None:
    for seed, status in enumerate(("done", "diverged", "failed")):
        spec = make_spec(seed)
        assert store.begin(spec, {}) == 1
        assert not store.is_finished(spec)
        assert store.outcome(spec) is None
        assert store.unfinished() == [spec]
        store.finish(spec, make_record(spec, status))
        assert store.is_finished(spec) == (status != "failed")
        assert store.unfinished() == []
    assert [run.record.status for run in store.runs()] == [
        run.record.status for run in sorted(store.runs(), key=lambda run: run.spec.run_id)
    ]
    assert len(store.runs()) == 3
    assert store.begin(make_spec(2), {}) == 2
    assert store.outcome(make_spec(2)) is None
    with pytest.raises(RunError, match="--fresh"):
        store.begin(make_spec(0), {})


def test_expected_runs_are_what_is_left(store: Store, make_spec: MakeSpec, make_record: MakeRecord) -> None:
    specs = [make_spec(seed) for seed in range(3)]
    store.begin(specs[0], {})
    store.finish(specs[0], make_record(specs[0]))
    store.expect(specs)
    assert {spec.seed for spec in store.unfinished()} == {1, 2}
    assert store.resume(specs[1]) is None
    assert store.begin(specs[1], {}) == 1
    assert store.failed_with(specs[2], "killed").attempts == 1
    assert store.unfinished() == [specs[1]]


def test_attempts_count_kills_too(store: Store, spec: RunSpec) -> None:
    assert [store.begin(spec, {}) for _ in range(3)] == [1, 2, 3]


def test_resume_drops_what_came_after_the_checkpoint(
    store: Store, spec: RunSpec, trained: Train, make_epoch: MakeEpoch, make_score: MakeScore,
    make_checkpoint: Callable[..., Checkpoint],
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


def test_resume_keeps_an_epoch_that_the_last_step_cut_short(
    store: Store, spec: RunSpec, trained: Train, make_epoch: MakeEpoch, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    trained(store, spec, 1)
    store.add_epoch(spec, make_epoch(2, step=13))
    store.add_grid(spec, 2, np.zeros((8, 8), np.uint8))
    store.checkpoint(spec, Checkpoint(make_checkpoint(13).arrays, {"epoch": 1, "step": 13}))
    store.resume(spec)
    assert len((folder_of(store, spec) / "epochs.csv").read_text().splitlines()) == 3
    assert (folder_of(store, spec) / "samples" / "epoch_0002.png").exists()


def test_resume_without_a_checkpoint_starts_from_nothing(
    store: Store, spec: RunSpec, make_epoch: MakeEpoch, make_score: MakeScore, make_record: MakeRecord
) -> None:
    assert store.resume(spec) is None
    store.begin(spec, {})
    store.add_epoch(spec, make_epoch(1))
    store.add_scores(spec, [make_score()])
    assert store.resume(spec) is None
    assert store.unfinished() == [spec]
    store.finish(spec, make_record(spec))
    assert store.runs()[0].epochs == []


def test_what_killed_writers_left_is_swept_by_who_goes_on(store: Store, spec: RunSpec) -> None:
    (folder_of(store, spec) / "samples").mkdir(parents=True)
    (folder_of(store, spec) / ".spec.json.0.0123abcd.tmp").write_text("torn")
    (folder_of(store, spec) / "samples" / ".real.png.0.0123abcd.tmp").write_text("torn")
    assert store.claim(spec)
    assert [p.name for p in folder_of(store, spec).rglob("*") if p.is_file()] == [".lease.1"]


def test_resume_leaves_a_finished_run_alone(
    store: Store, spec: RunSpec, trained: Train, make_record: MakeRecord
) -> None:
    trained(store, spec, 2)
    store.finish(spec, make_record(spec))
    before = {p: p.read_bytes() for p in folder_of(store, spec).rglob("*") if p.is_file()}
    assert store.resume(spec) is None
    assert before == {p: p.read_bytes() for p in folder_of(store, spec).rglob("*") if p.is_file()}


@pytest.mark.parametrize(("name", "old", "new"), [("epochs.csv", b"0.7", b"0.6"), ("scores.json", b"6.5", b"9.5")])
@pytest.mark.parametrize("how", ["changed", "torn", "removed"])
def test_a_damaged_history_is_told_and_taken_from_the_checkpoint(
    store: Store, spec: RunSpec, trained: Train, notices: list[str], name: str, old: bytes, new: bytes, how: str
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
    assert "taken from the checkpoint" in notice


def test_reporting_twice_is_reporting_once(
    store: Store, spec: RunSpec, make_epoch: MakeEpoch, make_score: MakeScore, make_record: MakeRecord
) -> None:
    store.begin(spec, {})
    for d_loss in (0.1, 0.2):
        store.add_epoch(spec, make_epoch(1, d_loss=d_loss))
        store.add_scores(spec, [make_score(value=d_loss)])
    store.finish(spec, make_record(spec))
    (run,) = store.runs()
    assert [epoch.d_loss for epoch in run.epochs] == [0.2]
    assert [score.value for score in run.scores] == [0.2]


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("damage", [b"", b"{", b"[1", b"\xff\xfe", b"[" * 100_000, b"null", b"a,b\n1,2\n"])
def test_a_damaged_file_is_told_and_the_others_are_read(
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


def test_a_spec_in_another_ones_folder_is_refused(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord, notices: list[str]
) -> None:
    ours, other = make_spec(0), make_spec(1)
    store.begin(ours, {})
    store.finish(ours, make_record(ours))
    (folder_of(store, ours) / "spec.json").write_text(other.model_dump_json())
    assert store.runs() == []
    assert not store.is_finished(ours)
    assert all(f"describes {other.run_id}" in notice for notice in notices)
    with pytest.raises(RunError):
        store.begin(ours, {})


def test_a_record_of_a_newer_version_is_told(
    store: Store, spec: RunSpec, make_record: MakeRecord, notices: list[str]
) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    path = folder_of(store, spec) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    assert store.runs() == []
    assert "newer gan_bench" in notices[0]


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("name", [*RUN_FILES, *WEIGHT_FILES, "samples/epoch_0001.png"])
def test_a_pickle_in_any_file_does_nothing(
    store: Store, spec: RunSpec, trained: Train, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, name: str, make_checkpoint: Callable[..., Checkpoint],
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


def test_links_that_lead_out_are_refused(
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
    assert all("a link that leads out" in notice for notice in notices)
    assert len(notices) == 2
    before = sorted(outside.rglob("*"))
    for attempt in (
        lambda: store.begin(make_spec(0), {}),
        lambda: store.forget(make_spec(0)),
        lambda: store.add_grid(make_spec(0), 1, np.zeros((2, 2), np.uint8)),
    ):
        with pytest.raises(RunError, match="a link that leads out"):
            attempt()
    assert sorted(outside.rglob("*")) == before


def test_pictures_are_not_drawn_through_a_link(store: Store, spec: RunSpec, tmp_path: Path) -> None:
    store.begin(spec, {})
    samples = folder_of(store, spec) / "samples"
    samples.rmdir()
    samples.symlink_to(tmp_path)
    with pytest.raises(RunError, match="a link that leads out"):
        store.add_grid(spec, 1, np.zeros((2, 2), np.uint8))
    assert not (tmp_path / "epoch_0001.png").exists()


def test_forget_removes_the_run_and_no_other(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord
) -> None:
    for seed in (0, 1):
        trained(store, make_spec(seed), 1)
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    store.forget(make_spec(0))
    store.forget(make_spec(5))
    assert [p.name for p in (store.root / "runs").iterdir()] == [make_spec(1).run_id]
    assert store.begin(make_spec(0), {}) == 1


def test_a_dead_worker_makes_a_failed_record_but_only_of_runs_without_one(
    store: Store, make_spec: MakeSpec, trained: Train, make_record: MakeRecord
) -> None:
    trained(store, make_spec(0), 2)
    record = store.failed_with(make_spec(0), "killed")
    assert (record.status, record.reason, record.attempts, record.steps) == ("failed", "killed", 1, 20)
    assert store.outcome(make_spec(0)) == record
    assert store.failed_with(make_spec(1), "killed before it began").attempts == 1
    trained(store, make_spec(2), 1)
    store.finish(make_spec(2), make_record(make_spec(2)))
    assert store.failed_with(make_spec(2), "killed").status == "done"


def test_find_takes_an_id_a_beginning_or_a_hash(
    store: Store, make_spec: MakeSpec, make_record: MakeRecord
) -> None:
    for seed in (0, 1):
        store.begin(make_spec(seed), {})
        store.finish(make_spec(seed), make_record(make_spec(seed)))
    store.begin(make_spec(2), {})
    zero = make_spec(0)
    for text in (zero.run_id, zero.run_id[:-3], zero.sha256[:8]):
        assert store.find(text).spec == zero
    for text, told in [
        ("vanilla", "could be any of 3"),
        ("", "gan-bench status"),
        ("venilla-bce-digits28-lr0.0002-s0", "did you mean vanilla-bce-digits28-lr0.0002-s"),
        (make_spec(2).run_id, "no result yet"),
        ("../../etc/passwd", "is not in"),
    ]:
        with pytest.raises(InputError, match=told):
            store.find(text)


def test_the_film_has_at_most_sixty_frames_and_rests_on_the_last(
    store: Store, spec: RunSpec, make_record: MakeRecord
) -> None:
    store.begin(spec, {})
    for epoch in range(1, 101):
        grid = np.random.default_rng(epoch).integers(0, 255, (16, 16), dtype=np.uint8)
        store.add_grid(spec, epoch, grid)
    store.finish(spec, make_record(spec))
    with Image.open(folder_of(store, spec) / "samples" / "progress.gif") as film:
        assert film.n_frames == 60  # type: ignore[attr-defined]
        assert film.info["duration"] < 500
        film.seek(59)
        assert film.info["duration"] >= 1000
        np.testing.assert_array_equal(np.asarray(film.convert("L")), grid)


def test_a_damaged_picture_costs_the_film_not_the_record(
    store: Store, spec: RunSpec, make_record: MakeRecord, notices: list[str]
) -> None:
    store.begin(spec, {})
    store.add_grid(spec, 1, np.zeros((16, 16), np.uint8))
    path = folder_of(store, spec) / "samples" / "epoch_0001.png"
    path.write_bytes(path.read_bytes()[:40])
    store.finish(spec, make_record(spec))
    assert store.is_finished(spec)
    assert "a picture is damaged" in notices[0]


@pytest.mark.parametrize("shape", [(8, 8, 1), (8,), (8, 8, 4)])
def test_a_grid_of_another_shape_is_refused(store: Store, spec: RunSpec, shape: tuple[int, ...]) -> None:
    store.begin(spec, {})
    with pytest.raises(ValueError, match="a grid is uint8"):
        store.add_grid(spec, 1, np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("number", "begun", "kind"),
    [
        (errno.EROFS, False, InputError),
        (errno.EACCES, False, InputError),
        (errno.EROFS, True, RunError),
        (errno.ENOSPC, False, RunError),
        (errno.ENOSPC, True, RunError),
        (errno.EMFILE, False, RunError),
    ],
)
def test_a_folder_that_never_was_one_is_wrong_input_and_a_disk_that_refuses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, begun: bool, kind: type[Exception]
) -> None:
    root = tmp_path / "out"
    if begun:
        Store.open(root, create=True)
    before = [path.name for path in root.glob("*") if path.is_file()]

    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(kind, match=os.strerror(number).lower()):
        Store.open(root, create=True)
    assert [path.name for path in root.glob("*") if path.is_file()] == before


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="this is a file"):
        Store.open(tmp_path / "file", create=True)
    with pytest.raises(InputError, match="can't be written to"):
        Store.open(tmp_path / "file" / "below", create=True)
    with pytest.raises(InputError, match="gan-bench run --out"):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    for mark, told in [
        ('{"schema_version": 2}', "newer gan_bench"),
        ("{", "can't be read"),
        ("[]", "can't be read"),
    ]:
        root = tmp_path / "marked"
        root.mkdir(exist_ok=True)
        (root / "store.json").write_text(mark)
        for create in (True, False):
            with pytest.raises(InputError, match=told):
                Store.open(root, create=create)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "runs").symlink_to(tmp_path)
    with pytest.raises(InputError, match="a link that leads out"):
        Store.open(linked, create=True)


def test_reading_writes_nothing(store: Store, spec: RunSpec, trained: Train, make_record: MakeRecord) -> None:
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


def test_a_thousand_runs_are_read_within_seconds(
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
