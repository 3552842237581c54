"""Lanes of one program against single runs, one after the other and in parallel processes.

Times are per step of one run: those of N lanes divided by N, and those of N processes with a single run each
divided by N; one lane is the single run. Memory is that of all lanes divided by their number. A second table times
every convolution of 4 lanes with each algorithm, forward and backward.

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

from gan_bench.core.matrix import Matrix
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import datasets, resized
from gan_bench.data.batch import Batch
from gan_bench.devices import select
from gan_bench.runner.catalogue import Registries
from gan_bench.training import warmup
from gan_bench.training.lanes import conv_autotune
from gan_bench.training.lanes.lane_trials import choose, try_count, try_lanes
from gan_bench.training.trainer import Trainer

MAX_PROCESSES = 8
LANES_OF_ALGORITHMS = 4


def single(spec: TrainingSpec, images: Tensor, device: torch.device, threads: int) -> Stepper:
    torch.set_num_threads(threads)
    return together([spec], images, device)


def alone(build: Callable[[], Stepper]) -> timing.WorkerProcess:
    """Return a contestant that is warmed up, while no other one runs."""
    contestant = timing.WorkerProcess(build)
    contestant(1)
    return contestant


class SideBySide:
    """Single runs that train at the same time, each in a process of its own."""

    def __init__(self, specs: Sequence[TrainingSpec], images: Tensor, device: torch.device) -> None:
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
    specs: Sequence[TrainingSpec], counts: Sequence[int], images: Tensor, device: torch.device, given: Any
) -> dict[str, Any]:
    """Return a row: seconds per step of one run, for every number of lanes and for parallel processes."""
    processes = min(MAX_PROCESSES, os.cpu_count() or 1)
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
    data = Batch(resized(images, specs[0].image_size)).to(device)
    trials = try_lanes(specs, data, device, on_event=timing.print_notice)
    tried = {count: try_count(specs[:count], data, device, timing.print_notice) for count in counts}
    return {
        "model": specs[0].model,
        "precision": specs[0].precision,
        "batch_size": specs[0].batch_size,
        "seconds_per_run": each,
        "speedup": {name: timing.ratios(each[str(counts[0])], times) for name, times in each.items()},
        "bytes_per_lane": {str(count): trial.bytes_per_lane for count, trial in tried.items()},
        "auto": choose(trials),
        "convolutions": layer_by_layer(specs[:LANES_OF_ALGORITHMS], images, device),
    }


def layer_by_layer(specs: Sequence[TrainingSpec], images: Tensor, device: torch.device) -> list[dict[str, Any]]:
    """Return the seconds of every convolution of the lanes, forward and backward, with each algorithm."""
    trainer = Trainer(specs, Batch(resized(images, specs[0].image_size)).to(device), device)
    return [
        {"net": net, "layer": timed.layer, "input": list(timed.shape), "seconds": dict(timed.seconds)}
        for net, timings in warmup.time_conv_algorithms(trainer).items()
        for timed in timings
    ]


def main() -> None:
    parser = timing.options(__doc__, repeats=3)
    parser.add_argument("--models", default="vanilla,dcgan28")
    parser.add_argument("--lanes", default="1,2,4,8,16,32")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=2.0, help="approximate length of a measurement")
    given = parser.parse_args()
    device = select.find_device(given.device)
    counts = [int(each) for each in given.lanes.split(",")]
    data = datasets.get("mnist").load(given.data_root, offline=True, on_event=timing.print_notice)
    rows = []
    for model in given.models.split(","):
        matrix = Matrix(
            models=(model,),
            dataset="mnist",
            batch_size=given.batch_size,
            seeds=tuple(range(max(*counts, MAX_PROCESSES))),
            precision=given.precision,
        )
        rows.append(measure(matrix.expand(Registries()), counts, data.train, device, given))
        show(rows[-1])
        timing.write_rows(given.out, device, rows)


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
    columns = ("lanes", "ms per step of one run", f"speed-up over {names[0]}", "MiB per lane")
    timing.show(f"{row['model']}: median (min to max); auto selects {row['auto']}", columns, cells)
    found = [
        [each["net"], each["layer"], "x".join(map(str, each["input"]))]
        + [
            f"{each['seconds'][algorithm] * 1e3:.3g}" if algorithm in each["seconds"] else ""
            for algorithm in conv_autotune.CONV_ALGORITHMS
        ]
        for each in row["convolutions"]
    ]
    if found:
        timing.show(
            f"{row['model']}: ms per convolution", ("net", "layer", "input", *conv_autotune.CONV_ALGORITHMS), found
        )


if __name__ == "__main__":
    main()
