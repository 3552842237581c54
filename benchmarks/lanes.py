"""Runs trained together as lanes of one program, beside single runs one after the other and side by side.

Times are a step of one run: of so many lanes divided by their number, and of as many processes that train a single
run each, divided by theirs; one lane is the single run. Memory is that of all lanes, divided by their number. A
second table times every convolution of 4 lanes in each way that the trainer knows (forward and backward).

    python benchmarks/lanes.py --models vanilla,dcgan28 --repeats 3 --data-root FOLDER
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import timing
import torch
from step_time import Stepper, together
from torch import Tensor

from gan_bench import environment
from gan_bench.data.dataset import datasets, resized
from gan_bench.matrix import Matrix
from gan_bench.planning import Registries
from gan_bench.spec import RunSpec
from gan_bench.training import tuning, ways
from gan_bench.training.lane_count import choose, try_count, try_lanes
from gan_bench.training.trainer import Trainer

MOST_PROCESSES = 8
LANES_OF_WAYS = 4


def single(spec: RunSpec, images: Tensor, device: torch.device, threads: int) -> Stepper:
    torch.set_num_threads(threads)
    return together([spec], images, device)


def alone(build: Callable[[], Stepper]) -> timing.Elsewhere:
    """Return a contestant that has warmed up already: what it tries meanwhile, no other one disturbs."""
    contestant = timing.Elsewhere(build)
    contestant(1)
    return contestant


class SideBySide:
    """As many single runs as there are processes, each training at the same time as the others."""

    def __init__(self, specs: Sequence[RunSpec], images: Tensor, device: torch.device) -> None:
        threads = max(1, torch.get_num_threads() // len(specs))
        self._runs = [alone(functools.partial(single, spec, images, device, threads)) for spec in specs]
        self._threads = ThreadPoolExecutor(len(specs))

    def __call__(self, count: int) -> None:
        list(self._threads.map(lambda run: run(count), self._runs))

    def close(self) -> None:
        for run in self._runs:
            run.close()
        self._threads.shutdown()


def measure(
    specs: Sequence[RunSpec], counts: Sequence[int], images: Tensor, device: torch.device, given: Any
) -> dict[str, Any]:
    """Return a row: seconds a step of one run, for every count of lanes and for processes side by side."""
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    contestants: dict[str, Any] = {
        str(lanes): alone(functools.partial(together, specs[:lanes], images, device)) for lanes in counts
    }
    beside = f"{processes} processes"
    contestants[beside] = SideBySide(specs[:processes], images, device)
    runs_of = {name: processes if name == beside else int(name) for name in contestants}
    works, steps = {}, {}
    for name, work in contestants.items():
        work(2)
        once = timing.timed(functools.partial(work, 2), device) / 2
        steps[name] = min(500, max(2, round(given.seconds / once)))
        works[name] = functools.partial(work, steps[name])
    seconds = timing.interleaved(works, device, given.repeats, warm_up=0)
    for work in contestants.values():
        work.close()
    each = {name: [s / steps[name] / runs_of[name] for s in seconds[name]] for name in seconds}
    on_device = resized(images, specs[0].image_size).to(device)
    trials = try_lanes(specs, on_device, device, notify=print)
    tried = {count: try_count(specs[:count], on_device, device, print) for count in counts}
    return {
        "model": specs[0].model,
        "precision": specs[0].precision,
        "batch_size": specs[0].batch_size,
        "seconds_per_run": each,
        "speedup": {name: timing.ratios(each[str(counts[0])], times) for name, times in each.items()},
        "bytes_per_lane": {str(count): trial.bytes_per_lane for count, trial in tried.items()},
        "auto": choose(trials),
        "ways": layer_by_layer(specs[:LANES_OF_WAYS], images, device),
    }


def layer_by_layer(specs: Sequence[RunSpec], images: Tensor, device: torch.device) -> list[dict[str, Any]]:
    """Return seconds of every convolution of so many lanes, forward and backward, in each way."""
    trainer = Trainer(specs, resized(images, specs[0].image_size).to(device), device)
    return [
        {"net": net, "layer": timed.layer, "input": list(timed.shape), "seconds": dict(timed.seconds)}
        for net, timings in tuning.time_ways(trainer).items()
        for timed in timings
    ]


def main() -> None:
    parser = timing.options(__doc__, repeats=3)
    parser.add_argument("--models", default="vanilla,dcgan28")
    parser.add_argument("--lanes", default="1,2,4,8,16,32")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, about")
    given = parser.parse_args()
    device = environment.find_device(given.device)
    counts = [int(each) for each in given.lanes.split(",")]
    data = datasets.get("mnist").load(given.data_root, offline=True, notify=print)
    rows = []
    for model in given.models.split(","):
        matrix = Matrix(
            models=(model,),
            dataset="mnist",
            batch_size=given.batch_size,
            seeds=tuple(range(max(*counts, MOST_PROCESSES))),
            precision=given.precision,
        )
        rows.append(measure(matrix.expand(Registries()), counts, data.train, device, given))
        show(rows[-1])
        timing.keep(given.out, device, rows)


def show(row: dict[str, Any]) -> None:
    names = list(row["seconds_per_run"])
    cells = [
        [
            name,
            timing.spread(row["seconds_per_run"][name], 1e3),
            timing.spread(row["speedup"][name]),
            f"{row['bytes_per_lane'][name] / 2**20:,.0f}" if name in row["bytes_per_lane"] else "",
        ]
        for name in names
    ]
    columns = ("lanes", "ms a step of one run", f"speed-up over {names[0]}", "MiB a lane")
    timing.show(f"{row['model']}: median (min to max); auto would take {row['auto']}", columns, cells)
    found = [
        [each["net"], each["layer"], "x".join(map(str, each["input"]))]
        + [f"{each['seconds'][way] * 1e3:.3g}" if way in each["seconds"] else "" for way in ways.WAYS]
        for each in row["ways"]
    ]
    if found:
        timing.show(f"{row['model']}: ms a convolution", ("net", "layer", "input", *ways.WAYS), found)


if __name__ == "__main__":
    main()
