"""A program that trains one run undisturbed, and again with SIGKILL at random instants; the test compares them.

Each attempt is a fork, and dies, or ends, as a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from rehearsal import rehearse

import gan_bench as gb

os.fsync = lambda descriptor: None  # a kill, other than a power cut, loses nothing that was written


def attempt(matrix: gb.Matrix, options: gb.Options) -> int:
    child = os.fork()
    if child == 0:
        gb.run(matrix, options)
        os._exit(0)
    return child


def main() -> None:
    """MODEL FOLDER CACHE RUNS KILLS: `RUNS` runs are killed `KILLS` times each."""
    model, root, cache, runs, kills = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:])
    matrix = gb.Matrix(
        models=(model,), dataset="synthetic", epochs=8, batch_size=32, eval_samples=160, eval_every=3,
        metrics=("fid",), settings={"width": 0.25},
    )  # fmt: skip
    base = {"preset": "smoke", "device": "cpu", "cache_dir": cache, "offline": True, "checkpoint_every": 0.05}
    rehearse(matrix, gb.Options(out=root / "before", **base))
    began = time.monotonic()
    os.waitpid(attempt(matrix, gb.Options(out=root / "quiet", **base)), 0)
    whole = time.monotonic() - began
    chance = random.Random(f"{model} 4")
    hits = 0
    for number in range(runs):
        options = gb.Options(out=root / str(number), **base)
        for _ in range(kills):
            child = attempt(matrix, options)
            time.sleep(chance.uniform(0.02, 1.0) * whole / max(1, kills - 1))
            os.kill(child, signal.SIGKILL)
            hits += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        ended = os.waitpid(attempt(matrix, options), 0)[1]
        assert ended == 0, f"run {number} ended with {ended}"
    sys.stdout.write(json.dumps({"kills": hits, "seconds": whole}))


if __name__ == "__main__":
    main()
