"""What a worker process costs a matrix: the same command with `--executor local` and with `in-process`.

Whole commands on new folders, Python's start and the report included. The worker is started once and kept, so its
cost is nearly the same for short and long runs: the last column relates it to runs of a minute each.

    python benchmarks/containment.py --runs 8 --repeats 5 --data-root FOLDER --out containment.json
"""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import timing

from gan_bench.devices import select

EXECUTORS = ("local", "in-process")


def command(executor: str, runs: int, data_root: Path, folder: Path) -> timing.Work:
    numbers = itertools.count()

    def work() -> None:
        words = ["run", "--models", "vanilla", "--dataset", "mnist", "--data-root", str(data_root)]
        words += ["--preset", "smoke", "--seeds", f"0-{runs - 1}", "--executor", executor, "--offline"]
        words += ["--out", str(folder / f"{executor}-{next(numbers)}")]
        subprocess.run([sys.executable, "-m", "gan_bench", *words], check=True, capture_output=True)

    return work


def main() -> None:
    parser = timing.options(__doc__)
    parser.add_argument("--runs", type=int, default=8, help="runs of the matrix")
    given = parser.parse_args()
    device = select.find_device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        works = {name: command(name, given.runs, given.data_root, Path(folder)) for name in EXECUTORS}
        seconds = timing.interleaved(works, device, given.repeats)
    extra = [one - other for one, other in zip(*seconds.values(), strict=True)]
    share = statistics.median(extra) / (60 * given.runs)
    timing.write_rows(given.out, device, [{"runs": given.runs, "seconds": seconds, "extra_seconds": extra}])
    columns = [*EXECUTORS, "difference", f"share of {given.runs} runs of a minute"]
    cells = [*map(timing.spread, seconds.values()), timing.spread(extra), f"{share:.2%}"]
    timing.show("seconds of a command: median (min to max)", columns, [cells])


if __name__ == "__main__":
    main()
