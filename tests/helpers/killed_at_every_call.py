"""A program that trains whole runs, each killed at another of its calls that change files; a test compares them.

Each attempt is a fork that ends or is killed like a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from helpers.counted_calls import Calls, counted
from helpers.rehearsal import rehearse

import gan_bench as gb

MATRIX = gb.Matrix(
    models=("vanilla",), dataset="synthetic", epochs=2, batch_size=256, eval_samples=160, eval_draws=2,
    metrics=("fid",), settings={"width": 0.0625},
)  # fmt: skip
"""Draw 0 of each epoch is evaluated during training (`eval_every`), draw 1 afterwards."""
EVERY_STEP = 1e-9


def make_options(out: Path, cache: Path) -> gb.Options:
    return gb.Options(
        out=out, preset="smoke", device="cpu", cache_dir=cache, offline=True, checkpoint_every=EVERY_STEP,
        eval_every=1, executor="in-process",
    )  # fmt: skip


def attempt(root: Path, cache: Path, at: int) -> bool:
    """Run the command in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        os.fsync = lambda descriptor: None  # a kill, unlike a power cut, loses nothing that was written
        with counted(root, at, lambda name: os.kill(os.getpid(), signal.SIGKILL)) as calls:
            gb.run(MATRIX, make_options(root, cache))
        keep(root, calls)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, f"{root.name}, call {at}: {status}"
    return os.WIFSIGNALED(status)


def keep(root: Path, calls: Calls) -> None:
    root.with_suffix(".calls").write_text(json.dumps({"made": calls.made, "past": calls.past}))


def main() -> None:
    """FOLDER CACHE FIRST STEP: kill at the calls FIRST, FIRST + STEP, ... until one is not reached."""
    root, cache, first, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    rehearse(MATRIX, make_options(root / "before", cache))
    attempt(root / "undisturbed", cache, 0)
    kills, at = 0, first
    while attempt(root / str(at), cache, at):
        kills += 1
        kills += at % 7 == 0 and attempt(root / str(at), cache, 1 + at * 7 % 90)  # and again while it resumes
        assert not attempt(root / str(at), cache, 0)
        at += step
    sys.stdout.write(json.dumps({"kills": kills, "last": at - step}))


if __name__ == "__main__":
    main()
