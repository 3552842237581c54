"""A program that trains one run undisturbed, and again with SIGKILL at random times; the test compares them.

Each attempt is a fork that ends or is killed like a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from helpers.rehearsal import rehearse

import gan_bench as gb

os.fsync = lambda descriptor: None  # a kill, unlike a power cut, loses nothing that was written


def attempt(matrix: gb.Matrix, options: gb.Options) -> int:
    child = os.fork()
    if child == 0:
        gb.run(matrix, options)
        os._exit(0)
    return child


def main() -> None:
    """MODEL LOSS FOLDER CACHE RUNS KILLS: `RUNS` runs are killed `KILLS` times each."""
    model, loss, root, cache = *sys.argv[1:3], Path(sys.argv[3]), Path(sys.argv[4])
    runs, kills = map(int, sys.argv[5:])
    matrix = gb.Matrix(
        models=(model,), losses=(loss,), dataset="synthetic", epochs=8, batch_size=32, eval_samples=160,
        metrics=("fid",), settings={"width": 0.25},
    )  # fmt: skip
    base = {
        "preset": "smoke", "device": "cpu", "cache_dir": cache, "offline": True, "checkpoint_every": 0.05,
        "eval_every": 3, "executor": "in-process",
    }  # fmt: skip
    rehearse(matrix, gb.Options(out=root / "before", **base))
    started = time.monotonic()
    os.waitpid(attempt(matrix, gb.Options(out=root / "undisturbed", **base)), 0)
    whole = time.monotonic() - started
    rng = random.Random(f"{model} {loss} 4")
    hits = 0
    for number in range(runs):
        options = gb.Options(out=root / str(number), **base)
        for _ in range(kills):
            child = attempt(matrix, options)
            time.sleep(rng.uniform(0.02, 1.0) * whole / max(1, kills - 1))
            os.kill(child, signal.SIGKILL)
            hits += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        status = os.waitpid(attempt(matrix, options), 0)[1]
        assert status == 0, f"run {number} ended with {status}"
    sys.stdout.write(json.dumps({"kills": hits, "seconds": whole}))


if __name__ == "__main__":
    main()
