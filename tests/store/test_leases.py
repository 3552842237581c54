"""Leases: one process at a time holds a run; a dead holder is taken over, a live one is not."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
import pytest

from gan_bench.core.errors import RunError, RunTakenError
from gan_bench.core.records import Checkpoint, RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import host, leases
from gan_bench.store.store import Store

HIDDEN = 2**22 + 1
"""No process has this id: Linux counts to 2**22."""
STORE = Path(leases.__file__).parent
HOLDER = """
import sys
from pathlib import Path
from typing import NoReturn
from gan_bench.store import host, leases
leases.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_is_held_by_one_process_until_it_exits_or_is_killed(store: Store, spec: TrainingSpec) -> None:
    folder = (store.root / "runs" / spec.run_id).resolve()
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert store.is_running(spec)
        for attempt in (store.begin, lambda spec, _: store.resume(spec), lambda spec, _: store.discard(spec)):
            with pytest.raises(RunError, match="another process is training this run"):
                attempt(spec, {})
        other.kill()
    assert not store.is_running(spec)
    assert store.begin(spec, {}) == 1
    assert store.is_running(spec)


def test_a_lease_is_taken_once_per_process(tmp_path: Path) -> None:
    leases.take(tmp_path)
    leases.take(tmp_path)
    leases.release(tmp_path)
    assert not leases.is_held(tmp_path)
    leases.release(tmp_path)


def leased_elsewhere(folder: Path, number: int = 1, host: str = "elsewhere") -> Path:
    path = folder / f".lease.{number}"
    path.write_text(json.dumps({"host": host, "pid": os.getpid(), "started": "1", "token": "theirs"}))
    return path


def test_a_holder_on_another_host_is_taken_over_after_its_heartbeat_was_missing_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    path = leased_elsewhere(tmp_path)
    os.utime(path, (0, 0))  # ancient by wall clock, which proves nothing
    for _ in range(5):
        with pytest.raises(RunTakenError):
            leases.take(tmp_path)
        now += leases.STALE_SECONDS - 1
        os.utime(path, (now, now))  # a heartbeat
    with pytest.raises(RunTakenError):
        leases.take(tmp_path)
    now += leases.STALE_SECONDS + 1
    leases.take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lease.2"]
    leases.release(tmp_path)


def test_a_reused_process_id_is_another_process(tmp_path: Path) -> None:
    leased_elsewhere(tmp_path, host=leases.host_id())  # this process's id, but another start time
    assert not leases.is_held(tmp_path)
    leases.take(tmp_path)
    leases.release(tmp_path)


def test_a_hidden_process_is_taken_over_by_its_heartbeat_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under hidepid another user's process is in no listing, and a signal to it is refused."""
    now, refusal = 1000.0, PermissionError(errno.EPERM, "Operation not permitted")

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (HIDDEN, 0)
        raise refusal

    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "kill", kill)
    values = {"host": leases.host_id(), "pid": HIDDEN, "started": "1", "token": "theirs"}
    path = tmp_path / ".lease.1"
    path.write_text(json.dumps(values))
    assert leases.is_held(tmp_path)
    with pytest.raises(RunTakenError):
        leases.take(tmp_path)
    os.utime(path, (0, 0))
    assert not leases.is_held(tmp_path), "for display, a holder without a heartbeat for long is dead"
    with pytest.raises(RunTakenError):
        leases.take(tmp_path)
    now += leases.STALE_SECONDS
    leases.take(tmp_path)
    leases.release(tmp_path)
    refusal = ProcessLookupError(errno.ESRCH, "No such process")  # type: ignore[assignment]
    path.write_text(json.dumps(values))
    leases.take(tmp_path)
    leases.release(tmp_path)


@pytest.fixture
def without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a container without /proc shows: no process, not even this one."""

    def hidden(pid: int) -> NoReturn:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(host, "PROC", tmp_path / "no-proc")
    monkeypatch.setattr(psutil, "Process", hidden)
    host.host_id.cache_clear()
    yield
    host.host_id.cache_clear()


@pytest.mark.usefixtures("without_proc")
@pytest.mark.parametrize("started", ["", "1"])
def test_without_proc_a_live_holder_is_judged_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str
) -> None:
    now = 1000.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    folder = tmp_path / "run"
    folder.mkdir()
    for scope in (leases.host_id(), "another container"):
        values = {"host": scope, "pid": os.getpid(), "started": started, "token": "theirs"}
        (folder / ".lease.1").write_text(json.dumps(values))
        assert leases.is_held(folder)
        with pytest.raises(RunTakenError):
            leases.take(folder)
        now += leases.STALE_SECONDS
        leases.take(folder)
        leases.release(folder)


@pytest.mark.usefixtures("without_proc")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems list processes without /proc")
def test_without_proc_a_process_exists_but_has_no_known_start() -> None:
    assert (host.process_started(os.getpid()), host.process_started(HIDDEN), host.host_id()) == ("", None, "")


def test_a_holder_that_could_not_tell_its_own_start_is_not_taken_for_dead(tmp_path: Path) -> None:
    values = {"host": leases.host_id(), "pid": os.getppid(), "started": "", "token": "theirs"}
    (tmp_path / ".lease.1").write_text(json.dumps(values))
    with pytest.raises(RunTakenError):
        leases.take(tmp_path)


@pytest.mark.parametrize("number", [999_999_999, leases.MAX_NUMBER])
def test_a_dead_lease_of_any_number_is_taken_over(tmp_path: Path, number: int) -> None:
    dead = {"host": leases.host_id(), "pid": HIDDEN, "started": "1", "token": "theirs"}
    (tmp_path / f".lease.{number}").write_text(json.dumps(dead))
    (tmp_path / f".record.json.{number}.00000000.tmp").write_text("half written")
    leases.take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".lease.{number % leases.MAX_NUMBER + 1}"]
    leases.release(tmp_path)


def test_a_process_that_lost_its_lease_changes_nothing(
    store: Store,
    spec: TrainingSpec,
    make_record: Callable[..., RunRecord],
    make_checkpoint: Callable[..., Checkpoint],
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
        lambda: store.add_evaluation(spec, [], make_record(spec)),
        lambda: store.record_failure(spec, "killed"),
    ):
        with pytest.raises(RunTakenError):
            write()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    store.release(spec)
    assert theirs.exists()
    assert not store.claim(spec)


def test_a_run_that_is_finished_just_before_a_claim_is_trained_after_it(
    store: Store, spec: TrainingSpec, make_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = leases.take

    def take_late(folder: Path) -> None:
        monkeypatch.setattr(leases, "take", take)
        store.begin(spec, {})  # another process, meanwhile
        store.finish(spec, make_record(spec))
        store.release(spec)
        take(folder)

    assert not store.is_trained(spec)
    monkeypatch.setattr(leases, "take", take_late)
    assert store.claim(spec)
    assert leases.take is take
    assert store.is_trained(spec), "asked after the claim, because the answer before it is stale"
    with pytest.raises(RunError, match="already trained"):
        store.begin(spec, {})
    store.release(spec)
    assert not list((store.root / "runs" / spec.run_id).glob(".lease*"))


def test_wall_clock_jumps_do_not_affect_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clocks jump by hours: a live holder keeps its lease, and a dead one loses it."""
    steady = 1000.0
    jumps = itertools.cycle([0.0, 5 * 3600.0, -9 * 3600.0, 86400.0])
    monkeypatch.setattr(leases.time, "monotonic", lambda: steady)
    monkeypatch.setattr(leases.time, "time", lambda: 1.7e9 + steady + next(jumps))
    path = leased_elsewhere(tmp_path)
    for _ in range(40):  # a heartbeat, by the wall clock of the holder
        beat = 1.7e9 + steady + next(jumps)
        os.utime(path, (beat, beat))
        with pytest.raises(RunTakenError):
            leases.take(tmp_path)
        steady += leases.HEARTBEAT_SECONDS
    steady += leases.STALE_SECONDS - 2 * leases.HEARTBEAT_SECONDS
    with pytest.raises(RunTakenError):
        leases.take(tmp_path)
    steady += 2 * leases.HEARTBEAT_SECONDS
    leases.take(tmp_path)
    monkeypatch.setattr(leases.time, "time", lambda: 0.0)
    assert leases.check(tmp_path) == 2
    assert leases.is_held(tmp_path)
    leases.release(tmp_path)


def test_release_leaves_the_lease_of_another_process(tmp_path: Path) -> None:
    leases.take(tmp_path)
    (tmp_path / ".lease.1").unlink()
    theirs = leased_elsewhere(tmp_path)  # taken over, released and taken again: the same number
    leases.release(tmp_path)
    assert theirs.exists()


def test_a_lease_whose_release_failed_can_be_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    leases.take(tmp_path)
    with monkeypatch.context() as starved:
        starved.setattr(os, "scandir", refuse)
        leases.release(tmp_path)
    assert (tmp_path / ".lease.1").exists()
    leases.take(tmp_path)
    assert leases.check(tmp_path) == 2
    leases.release(tmp_path)


def test_a_fifo_or_folder_named_like_a_lease_is_ignored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lease.7")
    (tmp_path / ".lease.8").mkdir()
    leases.take(tmp_path)
    assert leases.check(tmp_path) == 1
    leases.release(tmp_path)


@pytest.mark.parametrize("path", sorted(STORE.rglob("*.py")), ids=lambda path: path.name)
def test_no_file_locks_are_used(path: Path) -> None:
    assert not re.search(r"fcntl|flock|lockf|msvcrt|filelock", path.read_text())


def test_one_of_several_processes_gets_the_lease_without_hard_links(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    assert [racer.stdout.readline() for racer in racers if racer.stdout] == [b"ready\n"] * 4
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    won = [racer.stdout.readline() for racer in racers if racer.stdout]
    for racer in racers:
        racer.communicate(b"end\n")
    assert sorted(won) == [b"held\n", b"taken\n", b"taken\n", b"taken\n"]


RACER = """
import errno, os, sys
from pathlib import Path
from typing import NoReturn
from gan_bench.core.errors import RunTakenError
from gan_bench.store import host, leases

def refuse(*_, **__):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
os.link = refuse
print("ready", flush=True)
sys.stdin.readline()
try:
    leases.take(Path(sys.argv[1]))
    print("held", flush=True)
except RunTakenError:
    print("taken", flush=True)
sys.stdin.readline()
"""


def test_a_trained_run_is_evaluated_by_one_process(
    store: Store, spec: TrainingSpec, make_record: Callable[..., RunRecord]
) -> None:
    assert store.claim(spec)
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    store.release(spec)
    folder = (store.root / "runs" / spec.run_id).resolve()
    theirs = leased_elsewhere(folder)
    assert not store.claim(spec)
    with pytest.raises(RunTakenError):
        store.add_evaluation(spec, [], make_record(spec))
    theirs.unlink()
    assert store.claim(spec)
    store.release(spec)
    assert not list(folder.glob(".lease*"))
