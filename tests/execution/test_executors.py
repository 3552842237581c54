"""The contract of every executor, and what the local one adds: dying workers, signals, nobody orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pytest
import toy_work
from toy_work import Toy, first_seed, make_groups

from gan_bench.errors import InputError
from gan_bench.execution.executor import executors
from gan_bench.execution.local import LocalExecutor
from gan_bench.matrix import Group
from gan_bench.record import Progress

WHERE = [(name, jobs) for name in executors.names() for jobs in (1, 2)]
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


class Heard:
    """What an executor told, and on which thread."""

    def __init__(self) -> None:
        self.events: list[Progress] = []
        self.lost: dict[int, str] = {}
        self.logs: dict[int, str] = {}
        self.threads: set[threading.Thread] = set()

    def observer(self, event: Progress) -> None:
        self.threads.add(threading.current_thread())
        self.events.append(event)

    def on_lost(self, group: Group, reason: str, log: str) -> None:
        self.threads.add(threading.current_thread())
        assert first_seed(group) not in self.lost
        self.lost[first_seed(group)] = reason
        self.logs[first_seed(group)] = log


def execute(name: str, groups: list[Group], work: toy_work.Toy, jobs: int, **others: object) -> Heard:
    heard = Heard()
    executors.get(name)().execute(
        groups, work, jobs=jobs, threads=1, observer=heard.observer, on_lost=heard.on_lost, **others
    )  # type: ignore[arg-type]
    return heard


def records(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def worker_pids(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.glob("*.pid") if path.read_text()]


def gone(pids: list[int], within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("name", "jobs"), WHERE)
def test_the_same_records_as_running_in_this_process(tmp_path: Path, name: str, jobs: int) -> None:
    groups = make_groups(4, lanes=2)
    plain, there = tmp_path / "plain", tmp_path / "there"
    plain.mkdir()
    there.mkdir()
    for group in groups:
        Toy(plain)(group, lambda event: None)
    heard = execute(name, groups, Toy(there), jobs)
    assert records(there) == records(plain)
    assert len(records(there)) == 8
    assert heard.lost == {}
    by_group: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for event in heard.events:
        by_group[event.run_ids].append(f"{event.kind}{event.epoch.epoch if event.epoch else ''}")
    assert by_group == {group.run_ids: ["epoch1", "epoch2", "epoch3", "finished"] for group in groups}
    assert heard.threads == {threading.current_thread()}
    assert gone([pid for pid in worker_pids(there) if pid != os.getpid()])


@pytest.mark.parametrize(("name", "jobs"), WHERE)
def test_a_work_that_raises_loses_its_group_only(tmp_path: Path, name: str, jobs: int) -> None:
    groups = make_groups(4)
    heard = execute(name, groups, Toy(tmp_path, bad=(1, 2), how="raise"), jobs)
    assert heard.lost.keys() == {1, 2}
    assert heard.lost[1].startswith("ValueError: the work is broken (toy_work.py:")
    assert heard.logs[1].endswith("ValueError: the work is broken\nand says so at length")
    assert len(records(tmp_path)) == 2


@pytest.mark.parametrize(("name", "jobs"), WHERE)
def test_no_group_is_begun_once_stop_says_so(tmp_path: Path, name: str, jobs: int) -> None:
    heard = Heard()
    executors.get(name)().execute(
        make_groups(6),
        Toy(tmp_path),
        jobs=jobs,
        threads=1,
        observer=heard.observer,
        on_lost=heard.on_lost,
        stop=lambda: any(event.kind == "finished" for event in heard.events),
    )
    assert 1 <= len(records(tmp_path)) <= jobs


@pytest.mark.parametrize(("name", "jobs"), WHERE)
def test_nothing_to_do_is_done_at_once(tmp_path: Path, name: str, jobs: int) -> None:
    assert execute(name, [], Toy(tmp_path), jobs).events == []


@posix_only
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("kill", "its process was ended by SIGKILL; most often the machine ran out of memory"),
        ("exit", "its process ended in the middle, with exit code 7"),
        ("sys.exit", "its process ended in the middle, with exit code 3"),
    ],
)
def test_a_dying_worker_names_its_group_and_the_others_go_on(tmp_path: Path, how: str, told: str) -> None:
    heard = execute("local", make_groups(5), Toy(tmp_path, bad=(0, 3), how=how, seconds=0.05), jobs=2)
    assert heard.lost == {0: told, 3: told}
    assert len(records(tmp_path)) == 3
    assert gone(worker_pids(tmp_path))


@posix_only
def test_an_interrupt_is_the_parents_to_answer(tmp_path: Path) -> None:
    heard = execute("local", make_groups(2), Toy(tmp_path, bad=(0, 1), how="interrupt"), jobs=2)
    assert heard.lost == {}
    assert len(records(tmp_path)) == 2


def test_work_that_can_not_be_had_in_a_worker_says_why(tmp_path: Path) -> None:
    heard = execute("local", make_groups(3), toy_work.BreaksOnArrival(), jobs=2)  # type: ignore[arg-type]
    assert heard.lost.keys() == {0, 1, 2}
    assert all(reason.startswith("ImportError: no such plugin here") for reason in heard.lost.values())


def test_work_that_can_not_be_sent_is_an_error_and_leaves_no_worker() -> None:
    children = set(psutil.Process().children())
    with pytest.raises(Exception, match=r"pickle|local object"):  # the latter in Python 3.13.0
        execute("local", make_groups(2), lambda group, observer: None, jobs=2)  # type: ignore[arg-type]
    assert gone(
        [child.pid for child in set(psutil.Process().children()) - children if "tracker" not in _cmd(child)]
    )


def _cmd(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_workers_get_their_share_of_threads_and_this_process_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    heard = Heard()
    LocalExecutor().execute(
        make_groups(2), Toy(tmp_path), jobs=2, threads=3, observer=heard.observer, on_lost=heard.on_lost
    )
    assert {event.text for event in heard.events if event.kind == "finished"} == {"3"}
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_worker_serves_group_after_group(tmp_path: Path) -> None:
    execute("local", make_groups(6), Toy(tmp_path), jobs=2)
    assert len(set(worker_pids(tmp_path))) <= 2


def test_an_observer_that_raises_ends_the_workers(tmp_path: Path) -> None:
    def broken(event: Progress) -> None:
        if len(worker_pids(tmp_path)) == 2:
            raise KeyboardInterrupt

    groups = make_groups(40)
    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().execute(
            groups,
            Toy(tmp_path, seconds=0.3),
            jobs=2,
            threads=1,
            observer=broken,
            on_lost=lambda group, why, log: None,
        )
    assert gone(worker_pids(tmp_path), within=1)


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
def test_a_signal_orphans_nobody(tmp_path: Path, sent: signal.Signals, to: str, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, toy_work.__file__, str(tmp_path)],
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
        assert gone(workers)
        assert program.stderr is not None
        assert b"Traceback" not in program.stderr.read()
    assert records(tmp_path) == {}


@posix_only
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_group_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, jobs: int) -> None:
    heard = execute("local", make_groups(3), Toy(tmp_path, bad=(1,), how="hang"), jobs, run_timeout=6.0)
    assert heard.lost == {1: "it took longer than 6 s and was ended (--run-timeout)"}
    assert heard.logs == {1: "about to hang"}
    assert len(records(tmp_path)) == 2
    grandchild = int((tmp_path / "grandchild").read_text())
    assert gone([grandchild, *worker_pids(tmp_path)])


@posix_only
def test_a_worker_told_to_end_stops_where_it_can_be_gone_on_with(tmp_path: Path) -> None:
    begun: set[tuple[str, ...]] = set()

    def interrupt(event: Progress) -> None:
        begun.add(event.run_ids)
        if len(begun) == 2:
            time.sleep(0.5)  # now both are at work
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().execute(
            make_groups(40),
            Toy(tmp_path, seconds=10),
            jobs=2,
            threads=1,
            observer=interrupt,
            on_lost=lambda group, why, log: pytest.fail(why),
        )
    assert gone(worker_pids(tmp_path), within=1)
    assert len(list(tmp_path.glob("*.stopped"))) == 2, "the work was not asked to stop"


@posix_only
def test_a_worker_deaf_to_termination_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_bench.execution.processes.PATIENCE_SECONDS", 0.3)

    def interrupt(event: Progress) -> None:
        if event.text == "deaf":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().execute(
            make_groups(2),
            Toy(tmp_path, bad=(0,), how="deaf"),
            jobs=2,
            threads=1,
            observer=interrupt,
            on_lost=lambda group, why, log: None,
        )
    assert gone(worker_pids(tmp_path), within=1)


def test_in_this_process_an_interrupt_goes_on_to_the_caller() -> None:
    def interrupt(group: Group, observer: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor().execute(
            make_groups(1),
            interrupt,
            jobs=1,
            threads=1,
            observer=lambda e: None,
            on_lost=lambda g, why, log: pytest.fail(why),
        )


@pytest.mark.parametrize("jobs", [0, -1])
def test_a_number_of_jobs_that_makes_no_sense_is_refused(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(InputError, match="--jobs"):
        execute("local", make_groups(1), Toy(tmp_path), jobs)
