"""Work that writes what a run would, to try executors with; in a file that worker processes can import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gan_bench import interruption
from gan_bench.matrix import Group
from gan_bench.record import EpochRecord, Observer, Progress, RunRecord
from gan_bench.spec import Evaluation, RunSpec


def make_groups(count: int, lanes: int = 1) -> list[Group]:
    specs = [
        RunSpec(
            model="vanilla", loss="bce", dataset="digits", image_size=28, channels=1, seed=seed, lr_g=2e-4,
            lr_d=2e-4, batch_size=64, epochs=3, settings={}, evaluation=Evaluation(),
        )
        for seed in range(count * lanes)
    ]  # fmt: skip
    return [Group(tuple(specs[first : first + lanes])) for first in range(0, count * lanes, lanes)]


def first_seed(group: Group) -> int:
    return group.specs[0].seed


@dataclass(frozen=True)
class Toy:
    """Writes a record a run; `bad` groups end as `how` says."""

    folder: Path
    bad: tuple[int, ...] = ()
    how: str = ""
    seconds: float = 0.0

    def __call__(self, group: Group, observer: Observer) -> None:
        for number in (1, 2, 3):
            epoch = EpochRecord(
                epoch=number, step=number, d_loss=1, g_loss=1, d_real_accuracy=0, d_fake_accuracy=0,
                epoch_seconds=1, images_per_second=1,
            )  # fmt: skip
            observer(Progress(kind="epoch", run_ids=group.run_ids, epoch=epoch))
        (self.folder / f"{first_seed(group)}.pid").write_text(str(os.getpid()))
        self._work()
        if first_seed(group) in self.bad:
            self._go_wrong(observer)
        for spec in group.specs:
            record = RunRecord(run_id=spec.run_id, status="done", steps=spec.seed)
            (self.folder / f"{spec.run_id}.json").write_text(record.model_dump_json())
        observer(Progress(kind="finished", run_ids=group.run_ids, text=os.environ.get("OMP_NUM_THREADS", "")))

    def _work(self) -> None:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            try:
                interruption.check()
            except interruption.Interrupted:
                (self.folder / f"{os.getpid()}.stopped").touch()
                raise
            time.sleep(0.02)

    def _go_wrong(self, observer: Observer) -> None:
        match self.how:
            case "raise":
                raise ValueError("the work is broken\nand says so at length")
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
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                observer(Progress(kind="notice", text="deaf"))
                time.sleep(600)


class BreaksOnArrival:
    def __call__(self, group: Group, observer: Observer) -> None:
        raise AssertionError("never reached")

    def __reduce__(self) -> tuple[object, ...]:
        return _break, ()


def _break() -> None:
    raise ImportError("no such plugin here")


def main() -> None:
    """Run 2 jobs that take a minute, as a program of its own that tests send signals to."""
    from gan_bench.execution.local import LocalExecutor

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
    toy = Toy(Path(sys.argv[1]), seconds=60)
    try:
        LocalExecutor().execute(
            make_groups(3),
            toy,
            jobs=2,
            threads=1,
            observer=lambda event: None,
            on_lost=lambda group, why, log: None,
        )
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
