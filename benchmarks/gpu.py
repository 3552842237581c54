"""Every check and every timing that needs a GPU, in one call: correctness first, then figures, then one table.

It needs no network and no installation, only the packages that gan_bench imports, and MNIST as gzipped idx files.
What a part prints goes to a log beside its JSON. It exits with 1 if a check or a part fails; a figure that is
missed is only said. With `--device cpu` the checks that a CPU can make are made there, and nothing is timed.

    python benchmarks/gpu.py --data-root FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PATHS = (str(ROOT), str(ROOT / "tests" / "training"), os.environ.get("PYTHONPATH", ""))
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, PATHS)),
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # asked for by deterministic products, before the GPU is first used
}
MATRIX = "--models vanilla,dcgan --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25 --dataset mnist --offline"


def parts(given: argparse.Namespace) -> dict[str, list[str]]:
    """Return the commands that are timed, by the name of their JSON."""

    def script(name: str, *options: str) -> list[str]:
        out = given.out / f"{len(found)}_{name}.json"
        own = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
        return [*own, *places, "--out", str(out)]

    places = ["--device", given.device, "--data-root", str(given.data_root)]
    found: dict[str, list[str]] = {}
    found["checks"] = script("gpu_checks")
    if given.device == "cpu":
        return found
    few = ["--repeats", "3", "--seconds", "1"]
    run = [sys.executable, "-m", "gan_bench", "run", *MATRIX.split(), *places]
    found["matrix"] = [*run, "--out", str(given.out / "matrix")]
    found["step, bf16"] = script("step_time", "--precision", "bf16", "--models", "dcgan64,vanilla,dcgan28", *few)
    found["lanes"] = script("lanes", "--precision", "tf32", "--lanes", "1,4,16", *few)
    found["evaluation"] = script("evaluation", "--repeats", "3")
    found["step, tf32"] = script("step_time", "--precision", "tf32", *few)
    found["scaling"] = script("scaling", "--repeats", "2")
    return found


def time_parts(given: argparse.Namespace, until: float) -> dict[str, Any]:
    """Run what can be run until then; return each part's seconds and JSON, or why there is none."""
    results: dict[str, Any] = {}
    for name, command in parts(given).items():
        start, kept = time.monotonic(), Path(command[-1])
        results[name] = part = {"outcome": "ok"}
        try:
            with (given.out / f"{name.replace(', ', '_')}.log").open("w") as log:
                left = max(1.0, until - start)
                subprocess.run(
                    command, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT, timeout=left, check=True
                )
        except subprocess.CalledProcessError as error:
            part["outcome"] = f"exit code {error.returncode}"
        except subprocess.TimeoutExpired:
            part["outcome"] = "no time left"
        part["seconds"] = time.monotonic() - start
        if kept.is_file():
            part |= json.loads(kept.read_text())
        print(f"{name}: {part['outcome']}, {part['seconds']:.0f} s", flush=True)
    return results


def matrix_seconds(results: dict[str, Any]) -> float | None:
    """Return what the matrix took, if all of it was made."""
    part = results.get("matrix", {})
    return part["seconds"] if part.get("outcome") == "ok" else None


def figures(results: dict[str, Any]) -> list[tuple[str, str, float | None]]:
    """Return what is asked for, in words, with its bound and what was measured; None where nothing was."""

    def row(part: str, model: str) -> Any:
        return next((r for r in results.get(part, {}).get("rows", []) if r.get("model") == model), None)

    def lanes(model: str) -> float | None:
        found = row("lanes", model)
        if found is None or "16" not in found["seconds_per_run"]:
            return None
        each = {count: statistics.median(found["seconds_per_run"][count]) for count in ("1", "16")}
        return 16 * each["16"] / each["1"]

    step = row("step, bf16", "dcgan64")
    return [
        ("dcgan64, bf16, ms a step", "at most 1.2", step and 1e3 * statistics.median(step["seconds"]["ours"])),
        (
            "dcgan64, bf16, times the textbook loop's speed",
            "at least 10",
            step and statistics.median(step["speedup"]),
        ),
        ("16 lanes of vanilla, times one", "at most 1.5", lanes("vanilla")),
        ("16 lanes of dcgan28, times one", "at most 4", lanes("dcgan28")),
        ("README's matrix, seconds, start and report too", "under 120", matrix_seconds(results)),
    ]


def reached(bound: str, value: float) -> bool:
    """Return whether a value keeps a bound such as `at most 1.2`."""
    limit = float(bound.split()[-1])
    return value >= limit if bound.startswith("at least") else value <= limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=570, help="that all parts together may take")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = time_parts(given, time.monotonic() + given.seconds)
    checks = results["checks"].get("rows", [])
    show("checks", ("check", "outcome"), [(each["check"], each["outcome"]) for each in checks])
    show("parts", ("part", "outcome", "s"), [(k, v["outcome"], f"{v['seconds']:.0f}") for k, v in results.items()])
    rows = []
    for name, bound, value in figures(results):
        outcome = (
            ("not measured", "") if value is None else (f"{value:.4g}", "yes" if reached(bound, value) else "NO")
        )
        rows.append((name, bound, *outcome))
    show("figures", ("figure", "asked", "measured", "reached"), rows)
    (given.out / "gpu.json").write_text(json.dumps({"figures": rows, "parts": results}, indent=1) + "\n")
    sys.exit(any(part["outcome"] != "ok" for part in results.values()))


def show(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
