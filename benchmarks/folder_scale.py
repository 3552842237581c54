"""Commands on results folders of 100, 1,000 and 10,000 runs: seconds and peak memory.

The runs are copies of one short training under other seeds and learning rates, with their samples. `plan` is
`run --dry-run` on as many seeds as the folder has runs, a tenth of which are finished there. Whole commands are
measured, Python's start included.

    python benchmarks/folder_scale.py --counts 100,1000,10000 --repeats 3 --out folder_scale.json
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import scaling
import timing

from gan_bench.devices import select

MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""In a small process: a child's peak memory is at least that of the process that starts it."""


def commands(folder: Path, count: int) -> dict[str, list[str]]:
    """Return the arguments of each command on a folder of `count` runs."""
    plan = [
        "run",
        "--models",
        "vanilla",
        "--dataset",
        "synthetic",
        "--extractors",
        "mnist-cnn",
        "--metrics",
        "fid,is",
    ]
    plan += ["--preset", "smoke", "--seeds", f"0-{count - 1}", "--offline", "--dry-run", "--out", str(folder)]
    return {
        "status": ["status", str(folder)],
        "doctor": ["doctor", "--results", str(folder)],
        "report": ["report", str(folder)],
        "plan": plan,
    }


def measure(words: list[str], cache: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in MiB of a command."""
    measured = [sys.executable, "-S", "-c", MEASURE, sys.executable, "-m", "gan_bench", *words]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    result = subprocess.run(measured, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{result.stderr}")
    seconds, peak_kib = map(float, result.stdout.split())
    return seconds, peak_kib / 1024


def main() -> None:
    parser = timing.options(__doc__, repeats=3)
    parser.add_argument("--counts", default="100,1000,10000", help="runs of each folder")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for count in map(int, given.counts.split(",")):
            folder = scaling.results(root / str(count), count)
            for name, words in commands(folder, count).items():
                found = [measure(words, root / "cache") for _ in range(given.repeats)]
                seconds, peaks = zip(*found, strict=True)
                rows.append({"command": name, "runs": count, "seconds": seconds, "peak_mib": peaks})
                cells = [name, f"{count:,}", timing.spread(seconds), f"{max(peaks):,.0f}"]
                timing.show("", ["command", "runs", "seconds: median (min to max)", "peak MiB"], [cells])
    timing.write_rows(given.out, select.find_device("cpu"), rows)


if __name__ == "__main__":
    main()
