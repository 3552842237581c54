"""Step time alone, and beside another training, by how long idle OpenMP threads spin before they sleep.

Every setting of GOMP_SPINCOUNT has two processes, each with a thread for every core: one trains, or both do.
Spinning threads answer faster, and take the cores from the other training. libgomp, which PyTorch's wheels for
Linux use, reads the variable when it is loaded.

    python benchmarks/waiting_threads.py --model vanilla --repeats 5 --data-root FOLDER --out waiting_threads.json
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import step_time
import timing

from gan_bench.core.matrix import Matrix
from gan_bench.data.base import datasets
from gan_bench.devices import select
from gan_bench.runner.catalogue import Registries

VARIABLE = "GOMP_SPINCOUNT"
DEFAULT = "default"


def processes(setting: str, build: Any) -> tuple[timing.WorkerProcess, timing.WorkerProcess]:
    """Start both processes of a setting."""
    os.environ.pop(VARIABLE, None)
    if setting != DEFAULT:
        os.environ[VARIABLE] = setting
    return timing.WorkerProcess(build), timing.WorkerProcess(build)


def both(pair: tuple[timing.WorkerProcess, timing.WorkerProcess], steps: int) -> None:
    """Let both processes make steps at the same time."""
    threads = [threading.Thread(target=each, args=(steps,)) for each in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = timing.options(__doc__)
    parser.add_argument("--model", default="vanilla")
    parser.add_argument("--steps", type=int, default=40, help="steps of a measurement")
    parser.add_argument("--settings", default="default,0,1000,10000,100000")
    given = parser.parse_args()
    device = select.find_device("cpu")
    data = datasets.get("mnist").load(given.data_root, offline=True, on_event=timing.print_notice)
    (spec,) = Matrix(models=(given.model,), dataset="mnist", batch_size=128).expand(Registries())
    build = functools.partial(step_time.ours, spec, data.train, device, fuse=False)
    pairs = {setting: processes(setting, build) for setting in given.settings.split(",")}
    works: dict[str, timing.Work] = {}
    for setting, pair in pairs.items():
        works[f"{setting} alone"] = functools.partial(pair[0], given.steps)
        works[f"{setting} beside another"] = functools.partial(both, pair, given.steps)
    seconds = timing.interleaved(works, device, given.repeats)
    for pair in pairs.values():
        for each in pair:
            each.close()
    rows = [
        {"setting": name, "seconds_per_step": [each / given.steps for each in times]}
        for name, times in seconds.items()
    ]
    timing.write_rows(given.out, device, rows)
    cells = [[name, timing.spread(times, 1e3 / given.steps)] for name, times in seconds.items()]
    timing.show("ms per step: median (min to max)", [VARIABLE, "ms per step"], cells)


if __name__ == "__main__":
    main()
