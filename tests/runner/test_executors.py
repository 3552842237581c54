"""The contract of every executor; of the local one also dying workers, signals and orphaned processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import toy_work
from helpers.toy_work import ToyWork, first_seed, make_groups

from gan_bench.core.events import EpochFinished, Event, Notice, RunFinished, ignore_events
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.runner.executors.base import Work, executors, never_stop
from gan_bench.runner.executors.in_process import InProcessExecutor
from gan_bench.runner.executors.processes import SPIN_COUNT

pytestmark = pytest.mark.workers
CASES = [(name, jobs) for name in executors.names() for jobs in (1, 2)]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(toy_work.__file__).parents[1])!r})
from helpers.toy_work import main
main()
"""
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


class EventLog:
    """Events and worker deaths that an executor reported, and the threads that its callbacks ran on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reasons: dict[int, str] = {}
        self.logs: dict[int, str] = {}
        self.threads: set[threading.Thread] = set()

    def on_event(self, event: Event) -> None:
        self.threads.add(threading.current_thread())
        self.events.append(event)

    def on_worker_death(self, group: Group, reason: str, log: str) -> None:
        self.threads.add(threading.current_thread())
        assert first_seed(group) not in self.reasons
        self.reasons[first_seed(group)] = reason
        self.logs[first_seed(group)] = log

    def finished(self) -> list[RunFinished]:
        return [event for event in self.events if isinstance(event, RunFinished)]


def execute(
    name: str,
    groups: list[Group],
    work: Work,
    jobs: int,
    *,
    log: EventLog | None = None,
    stop: Callable[[], bool] = never_stop,
    threads: int = 1,
    **options: Any,
) -> EventLog:
    log = log or EventLog()
    executors.get(name)().run_groups(
        groups,
        work,
        options=Options(jobs=jobs, **options),
        threads=threads,
        on_event=log.on_event,
        on_worker_death=log.on_worker_death,
        stop=stop,
    )
    return log


def records(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def worker_pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("*.pid") if path.read_text()]


def have_exited(pids: list[int], within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not any(_is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("name", "jobs"), CASES)
def test_records_and_events_equal_those_of_running_in_this_process(tmp_path: Path, name: str, jobs: int) -> None:
    groups = make_groups(4, lanes=2)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    for group in groups:
        ToyWork(here)(group, ignore_events)
    log = execute(name, groups, ToyWork(there), jobs)
    assert records(there) == records(here)
    assert len(records(there)) == 8
    assert log.reasons == {}
    by_run: dict[str, list[str]] = defaultdict(list)
    for event in log.events:
        match event:
            case EpochFinished(run_id, epoch):
                by_run[run_id].append(f"epoch {epoch.epoch}")
            case RunFinished(record):
                by_run[record.run_id].append("finished")
    assert by_run == {
        run_id: ["epoch 1", "epoch 2", "epoch 3", "finished"] for group in groups for run_id in group.run_ids
    }
    assert log.threads == {threading.current_thread()}
    assert have_exited([pid for pid in worker_pids(there) if pid != os.getpid()])


@pytest.mark.parametrize(("name", "jobs"), CASES)
def test_work_that_raises_fails_its_own_group_only(tmp_path: Path, name: str, jobs: int) -> None:
    log = execute(name, make_groups(4), ToyWork(tmp_path, bad=(1, 2), how="raise"), jobs)
    assert log.reasons.keys() == {1, 2}
    assert log.reasons[1].startswith("ValueError: the work is broken (toy_work.py:")
    assert log.logs[1].endswith("ValueError: the work is broken\nwith a second line")
    assert len(records(tmp_path)) == 2


@pytest.mark.parametrize(("name", "jobs"), CASES)
def test_no_group_is_started_once_stop_returns_true(tmp_path: Path, name: str, jobs: int) -> None:
    log = EventLog()
    execute(name, make_groups(6), ToyWork(tmp_path), jobs, log=log, stop=lambda: bool(log.finished()))
    assert 1 <= len(records(tmp_path)) <= jobs


@pytest.mark.parametrize(("name", "jobs"), CASES)
def test_no_groups_are_no_work(tmp_path: Path, name: str, jobs: int) -> None:
    assert execute(name, [], ToyWork(tmp_path), jobs).events == []


@posix_only
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", "its process was killed by SIGKILL; most often the machine ran out of memory"),
        ("exit", "its process exited while running, with exit code 7"),
        ("sys.exit", "SystemExit: 3 (toy_work.py:85)"),
    ],
)
def test_worker_death_is_reported_with_its_group_and_the_others_continue(
    tmp_path: Path, how: str, reason: str
) -> None:
    log = execute("local", make_groups(5), ToyWork(tmp_path, bad=(0, 3), how=how, seconds=0.05), jobs=2)
    assert log.reasons == {0: reason, 3: reason}
    assert len(records(tmp_path)) == 3
    assert have_exited(worker_pids(tmp_path))


@posix_only
def test_workers_ignore_ctrl_c_which_the_parent_handles(tmp_path: Path) -> None:
    log = execute("local", make_groups(2), ToyWork(tmp_path, bad=(0, 1), how="interrupt"), jobs=2)
    assert log.reasons == {}
    assert len(records(tmp_path)) == 2


def test_work_that_cannot_be_unpickled_is_reported_with_its_reason(tmp_path: Path) -> None:
    log = execute("local", make_groups(3), toy_work.FailsToUnpickle(), jobs=2)
    assert log.reasons.keys() == {0, 1, 2}
    assert all(reason.startswith("ImportError: no such plugin here") for reason in log.reasons.values())


def test_work_that_cannot_be_pickled_raises_and_leaves_no_worker() -> None:
    children = set(psutil.Process().children())
    with pytest.raises(Exception, match=r"pickle|local object"):  # the latter in Python 3.13.0
        execute("local", make_groups(2), lambda group, on_event: None, jobs=2)
    started = set(psutil.Process().children()) - children
    assert have_exited([child.pid for child in started if "tracker" not in _command_line(child)])


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.mark.parametrize(
    ("own", "spins"),
    [({}, SPIN_COUNT), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "-")],
)
def test_workers_get_the_given_threads_and_this_process_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str], spins: str
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    log = execute("local", make_groups(2), ToyWork(tmp_path), jobs=2, threads=3)
    assert {event.record.device_name for event in log.finished()} == {f"3 {spins}"}
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ
    assert os.environ.get("GOMP_SPINCOUNT") == own.get("GOMP_SPINCOUNT")


def test_a_worker_executes_several_groups(tmp_path: Path) -> None:
    execute("local", make_groups(6), ToyWork(tmp_path), jobs=2)
    assert len(set(worker_pids(tmp_path))) <= 2


def test_a_listener_that_raises_ends_the_workers(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if len(worker_pids(tmp_path)) == 2:
            raise KeyboardInterrupt

    log = EventLog()
    log.on_event = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        execute("local", make_groups(40), ToyWork(tmp_path, seconds=0.3), jobs=2, log=log)
    assert have_exited(worker_pids(tmp_path), within=1)


@posix_only
@pytest.mark.parametrize(
    ("sent", "to", "code"),
    [
        (signal.SIGINT, "all", 130),
        (signal.SIGINT, "parent", 130),
        (signal.SIGTERM, "parent", 143),
        (signal.SIGKILL, "parent", -9),
    ],
)
def test_a_signal_leaves_no_orphaned_worker(tmp_path: Path, sent: signal.Signals, to: str, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as program:
        deadline = time.monotonic() + 30
        while len(worker_pids(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = worker_pids(tmp_path)
        assert len(workers) == 2
        if to == "all":
            os.killpg(program.pid, sent)
        else:
            program.send_signal(sent)
        assert program.wait(timeout=20) == code
        assert have_exited(workers)
        assert program.stderr is not None
        assert b"Traceback" not in program.stderr.read()
    assert records(tmp_path) == {}


@posix_only
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_group_over_its_time_limit_is_killed_with_the_processes_it_started(tmp_path: Path, jobs: int) -> None:
    log = execute("local", make_groups(3), ToyWork(tmp_path, bad=(1,), how="hang"), jobs, run_timeout=4.0)
    assert log.reasons == {1: "killed after 4 s (--run-timeout)"}
    assert log.logs == {1: "about to hang"}
    assert len(records(tmp_path)) == 2
    grandchild = int((tmp_path / "grandchild").read_text())
    assert have_exited([grandchild, *worker_pids(tmp_path)])


@posix_only
def test_a_terminated_worker_stops_at_a_checkpoint(tmp_path: Path) -> None:
    started: set[str] = set()

    def interrupt(event: Event) -> None:
        assert isinstance(event, EpochFinished)
        started.add(event.run_id)
        if len(started) == 2:
            time.sleep(0.5)  # until both are waiting in their work
            raise KeyboardInterrupt

    log = EventLog()
    log.on_event = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        execute("local", make_groups(40), ToyWork(tmp_path, seconds=10), jobs=2, log=log)
    assert log.reasons == {}
    assert have_exited(worker_pids(tmp_path), within=1)
    assert len(list(tmp_path.glob("*.stopped"))) == 2, "the work was not asked to stop"


@posix_only
def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_bench.runner.executors.processes.GRACE_SECONDS", 0.3)

    def interrupt(event: Event) -> None:
        if isinstance(event, Notice):
            raise KeyboardInterrupt

    log = EventLog()
    log.on_event = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        execute("local", make_groups(2), ToyWork(tmp_path, bad=(0,), how="ignore SIGTERM"), jobs=2, log=log)
    assert have_exited(worker_pids(tmp_path), within=1)


def test_in_this_process_an_interrupt_reaches_the_caller() -> None:
    def interrupt(group: Group, on_event: object) -> None:
        raise KeyboardInterrupt

    log = EventLog()
    with pytest.raises(KeyboardInterrupt):
        InProcessExecutor().run_groups(
            make_groups(1),
            interrupt,
            options=Options(jobs=1),
            threads=1,
            on_event=log.on_event,
            on_worker_death=log.on_worker_death,
        )
    assert log.reasons == {}
