"""Work that writes a record for each run, for tests of executors; in a file that worker processes can import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gan_bench.core import signals
from gan_bench.core.events import EpochFinished, Notice, OnEvent, RunFinished, ignore_events
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.core.records import EpochRecord, RunRecord
from gan_bench.core.training_spec import TrainingSpec


def make_groups(count: int, lanes: int = 1) -> list[Group]:
    specs = [
        TrainingSpec(
            model="vanilla", loss="bce", dataset="digits", image_size=28, channels=1, seed=seed, lr_g=2e-4,
            lr_d=2e-4, batch_size=64, epochs=3, settings={},
        )
        for seed in range(count * lanes)
    ]  # fmt: skip
    return [Group(tuple(specs[first : first + lanes])) for first in range(0, count * lanes, lanes)]


def first_seed(group: Group) -> int:
    return group.specs[0].seed


@dataclass(frozen=True)
class ToyWork:
    """Emits three epochs and an outcome per run, and writes its record; groups in `bad` fail as `how` says."""

    folder: Path
    bad: tuple[int, ...] = ()
    how: str = ""
    seconds: float = 0.0

    def __call__(self, group: Group, on_event: OnEvent) -> None:
        for number in (1, 2, 3):
            epoch = EpochRecord(
                epoch=number, step=number, d_loss=1, g_loss=1, d_real_accuracy=0, d_fake_accuracy=0,
                epoch_seconds=1, images_per_second=1,
            )  # fmt: skip
            for run_id in group.run_ids:
                on_event(EpochFinished(run_id, epoch))
        (self.folder / f"{first_seed(group)}.pid").write_text(str(os.getpid()))
        self._wait()
        if first_seed(group) in self.bad:
            self._fail(on_event)
        threads = " ".join(os.environ.get(name, "-") for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT"))
        for spec in group.specs:
            record = RunRecord(run_id=spec.run_id, status="done", steps=spec.seed)
            (self.folder / f"{spec.run_id}.json").write_text(record.model_dump_json())
            on_event(RunFinished(record.model_copy(update={"device_name": threads})))

    def _wait(self) -> None:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            try:
                signals.check()
            except signals.Interrupted:
                (self.folder / f"{os.getpid()}.stopped").touch()
                raise
            time.sleep(0.02)

    def _fail(self, on_event: OnEvent) -> None:
        match self.how:
            case "raise":
                raise ValueError("the work is broken\nwith a second line")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            case "exit":
                os._exit(7)
            case "sys.exit":
                sys.exit(3)
            case "hang":
                print("about to hang", flush=True)  # noqa: T201
                child = subprocess.Popen(["sleep", "600"])
                (self.folder / "grandchild").write_text(str(child.pid))
                time.sleep(600)
            case "ignore SIGTERM":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                on_event(Notice("ignores SIGTERM"))
                time.sleep(600)


class FailsToUnpickle:
    def __call__(self, group: Group, on_event: OnEvent) -> None:
        raise AssertionError("never reached")

    def __reduce__(self) -> tuple[object, ...]:
        return _fail_to_import, ()


def _fail_to_import() -> None:
    raise ImportError("no such plugin here")


def die_after_signalling_the_parent(group: Group, on_event: OnEvent) -> None:
    """Die of a signal that the parent gets too, before the parent has checked for it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    os.kill(parent.pid or 0, signal.SIGUSR1)
    os._exit(1)


def main() -> None:
    """FOLDER: run 3 groups of a minute with 2 jobs, as a program that tests send signals to."""
    from gan_bench.runner.executors.local import LocalExecutor

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
    try:
        LocalExecutor().run_groups(
            make_groups(3),
            ToyWork(Path(sys.argv[1]), seconds=60),
            options=Options(jobs=2),
            threads=1,
            on_event=ignore_events,
            on_worker_death=lambda group, reason, log: None,
        )
    except KeyboardInterrupt:
        sys.exit(130)
