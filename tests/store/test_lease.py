from __future__ import annotations

import errno
import itertools
import json
import os
import re
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

HIDDEN = 2**22 + 1
"""No process has this number: Linux counts to 2**22."""
STORE = Path(lease.__file__).parent
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


def test_a_holder_that_the_system_hides_is_taken_over_by_its_heartbeat_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under hidepid another user's process is in no listing, and a signal to it is refused."""
    now, refusal = 1000.0, PermissionError(errno.EPERM, "Operation not permitted")

    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (HIDDEN, 0)
        raise refusal

    monkeypatch.setattr(lease.time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "kill", kill)
    values = {"host": lease.host_id(), "pid": HIDDEN, "started": "1", "token": "theirs"}
    path = tmp_path / ".lease.1"
    path.write_text(json.dumps(values))
    assert lease.is_held(tmp_path)
    with pytest.raises(RunTakenError):
        lease.take(tmp_path)
    os.utime(path, (0, 0))
    assert not lease.is_held(tmp_path), "to the eye, what has not beaten for long is dead"
    with pytest.raises(RunTakenError):
        lease.take(tmp_path)
    now += lease.STALE_SECONDS
    lease.take(tmp_path)
    lease.give_back(tmp_path)
    refusal = ProcessLookupError(errno.ESRCH, "No such process")  # type: ignore[assignment]
    path.write_text(json.dumps(values))
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


def test_what_was_finished_between_the_two_looks_of_a_claim_is_left_alone(
    store: Store, spec: RunSpec, make_record: Callable[..., RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = lease.take

    def take_late(folder: Path) -> None:
        monkeypatch.setattr(lease, "take", take)
        store.begin(spec, {})  # another process, in the moment between
        store.finish(spec, make_record(spec))
        take(folder)

    monkeypatch.setattr(lease, "take", take_late)
    assert not store.claim(spec)
    assert lease.take is take
    assert not list((store.root / "runs" / spec.run_id).glob(".lease*"))


def test_the_clock_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours forward and back, at the watcher's as at the holder's: neither stolen nor kept for ever."""
    steady = 1000.0
    jumps = itertools.cycle([0.0, 5 * 3600.0, -9 * 3600.0, 86400.0])
    monkeypatch.setattr(lease.time, "monotonic", lambda: steady)
    monkeypatch.setattr(lease.time, "time", lambda: 1.7e9 + steady + next(jumps))
    path = leased_elsewhere(tmp_path)
    for _ in range(40):  # it beats, at whatever time its clock shows
        beat = 1.7e9 + steady + next(jumps)
        os.utime(path, (beat, beat))
        with pytest.raises(RunTakenError):
            lease.take(tmp_path)
        steady += lease.HEARTBEAT_SECONDS
    steady += lease.STALE_SECONDS - 2 * lease.HEARTBEAT_SECONDS
    with pytest.raises(RunTakenError):
        lease.take(tmp_path)
    steady += 2 * lease.HEARTBEAT_SECONDS
    lease.take(tmp_path)
    monkeypatch.setattr(lease.time, "time", lambda: 0.0)
    assert lease.check(tmp_path) == 2
    assert lease.is_held(tmp_path)
    lease.give_back(tmp_path)


def test_a_number_that_is_somebody_elses_by_now_is_not_given_back(tmp_path: Path) -> None:
    lease.take(tmp_path)
    (tmp_path / ".lease.1").unlink()
    theirs = leased_elsewhere(tmp_path)  # taken over, finished, and begun again: the same number
    lease.give_back(tmp_path)
    assert theirs.exists()


def test_what_could_not_be_given_back_does_not_shut_this_process_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    lease.take(tmp_path)
    with monkeypatch.context() as starved:
        starved.setattr(os, "scandir", refuse)
        lease.give_back(tmp_path)
    assert (tmp_path / ".lease.1").exists()
    lease.take(tmp_path)
    assert lease.check(tmp_path) == 2
    lease.give_back(tmp_path)


def test_a_pipe_that_is_called_a_lease_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lease.7")
    (tmp_path / ".lease.8").mkdir()
    lease.take(tmp_path)
    assert lease.check(tmp_path) == 1
    lease.give_back(tmp_path)


@pytest.mark.parametrize("room", sorted(STORE.rglob("*.py")), ids=lambda path: path.name)
def test_no_file_lock_is_relied_on(room: Path) -> None:
    assert not re.search(r"fcntl|flock|lockf|msvcrt|filelock", room.read_text())


def test_without_hard_links_one_of_many_has_the_lease(tmp_path: Path) -> None:
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
from gan_bench.errors import RunTakenError
from gan_bench.store import lease

def refuse(*_, **__):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
os.link = refuse
print("ready", flush=True)
sys.stdin.readline()
try:
    lease.take(Path(sys.argv[1]))
    print("held", flush=True)
except RunTakenError:
    print("taken", flush=True)
sys.stdin.readline()
"""


def test_a_claim_is_refused_where_there_is_a_result(
    store: Store, spec: RunSpec, make_record: Callable[..., RunRecord]
) -> None:
    assert store.claim(spec)
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    assert not store.claim(spec)
    assert not list((store.root / "runs" / spec.run_id).glob(".lease*"))
