from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gan_bench.errors import RunError, RunTakenError
from gan_bench.record import Checkpoint, RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store import lease
from gan_bench.store.store import Store

HOLDER = """
import sys
from pathlib import Path
from gan_bench.store import lease
lease.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_is_trained_by_one_process_until_that_ends_however_it_ends(store: Store, spec: RunSpec) -> None:
    folder = (store.root / "runs" / spec.run_id).resolve()
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert store.is_running(spec)
        for attempt in (store.begin, lambda spec, _: store.resume(spec), lambda spec, _: store.forget(spec)):
            with pytest.raises(RunError, match="another process is training this run"):
                attempt(spec, {})
        other.kill()
    assert not store.is_running(spec)
    assert store.begin(spec, {}) == 1
    assert store.is_running(spec)


def test_a_finished_run_is_not_running(store: Store, spec: RunSpec, make_record: object) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))  # type: ignore[operator]
    assert not store.is_running(spec)


def test_one_process_holds_a_lease_once(tmp_path: Path) -> None:
    lease.take(tmp_path)
    lease.take(tmp_path)
    lease.give_back(tmp_path)
    assert not lease.is_held(tmp_path)
    lease.give_back(tmp_path)


def leased_elsewhere(folder: Path, number: int = 1, host: str = "elsewhere") -> Path:
    path = folder / f".lease.{number}"
    path.write_text(json.dumps({"host": host, "pid": os.getpid(), "started": "1", "token": "theirs"}))
    return path


def test_a_holder_on_another_host_is_taken_over_once_its_heart_was_watched_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(lease.time, "monotonic", lambda: now)
    path = leased_elsewhere(tmp_path)
    os.utime(path, (0, 0))  # by the clock it is ancient: clocks prove nothing
    for _ in range(5):
        with pytest.raises(RunTakenError):
            lease.take(tmp_path)
        now += lease.STALE_SECONDS - 1
        os.utime(path, (now, now))  # it beats
    with pytest.raises(RunTakenError):
        lease.take(tmp_path)
    now += lease.STALE_SECONDS + 1
    lease.take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lease.2"]
    lease.give_back(tmp_path)


def test_a_process_number_used_again_is_another_process(tmp_path: Path) -> None:
    leased_elsewhere(tmp_path, host=lease.host_id())  # this process's number, but begun at another time
    assert not lease.is_held(tmp_path)
    lease.take(tmp_path)
    lease.give_back(tmp_path)


def test_who_was_overtaken_can_not_write_and_leaves_the_other_alone(
    store: Store, spec: RunSpec, make_record: Callable[..., RunRecord], make_checkpoint: Callable[..., Checkpoint]
) -> None:
    store.begin(spec, {})
    folder = (store.root / "runs" / spec.run_id).resolve()
    theirs = leased_elsewhere(folder, 7)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for write in (
        lambda: store.checkpoint(spec, make_checkpoint(10)),
        lambda: store.keep_best(spec, make_checkpoint(10)),
        lambda: store.add_scores(spec, []),
        lambda: store.add_grid(spec, 1, np.zeros((4, 4), np.uint8)),
        lambda: store.finish(spec, make_record(spec)),
        lambda: store.failed_with(spec, "lost"),
    ):
        with pytest.raises(RunTakenError):
            write()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    store.release(spec)
    assert theirs.exists()
    assert not store.claim(spec)


def test_a_claim_is_refused_where_there_is_a_result(
    store: Store, spec: RunSpec, make_record: Callable[..., RunRecord]
) -> None:
    assert store.claim(spec)
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    assert not store.claim(spec)
    assert not list((store.root / "runs" / spec.run_id).glob(".lease*"))
