"""Every check and every timing that needs a GPU, in one call: correctness first, then figures, then one table.

It needs no network and no installation, only the packages that gan_bench imports, and MNIST as gzipped idx files.
`gpu.json` holds everything, the end of what each part said included, and grows with every part. It exits with 1 if
a check or a part fails; a figure that is missed is only said. With `--device cpu` the checks that a CPU can make
are made there, and nothing is timed.

    python benchmarks/gpu.py --data-root FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
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
    "PYTHONUNBUFFERED": "1",
}
MATRIX = "--models vanilla,dcgan --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25 --dataset mnist --offline"
PROFILE = "--models dcgan64 --precision bf16 --steps 500 --metrics fid --profile --dataset mnist --offline"
LIMITS = {"checks": 270.0, "matrix": 200.0, "step-bf16-fused": 240.0}
OTHERWISE = 150.0
"""Seconds that a part may take, so that one that hangs costs the others nothing."""
TAIL_CHARACTERS = 6000


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
    run = [sys.executable, "-m", "gan_bench", "run", *places]
    found["matrix"] = [*run, *MATRIX.split(), "--out", str(given.out / "matrix")]
    found["profile"] = [*run, *PROFILE.split(), "--out", str(given.out / "profile")]
    found["step-bf16"] = script("step_time", "--precision", "bf16", "--models", "dcgan64,vanilla,dcgan28", *few)
    found["lanes"] = script("lanes", "--precision", "tf32", "--lanes", "1,4,16", *few)
    found["evaluation"] = script("evaluation", "--repeats", "3")
    found["step-bf16-fused"] = script("step_time", "--precision", "bf16", "--models", "dcgan64", "--fuse", *few)
    found["step-tf32"] = script("step_time", "--precision", "tf32", *few)
    found["scaling"] = script("scaling", "--repeats", "2")
    return {name: command for name, command in found.items() if name in (given.parts or found)}


def make(name: str, command: list[str], out: Path, seconds: float) -> dict[str, Any]:
    """Run a part, for so many seconds at most; return how it ended, the end of what it said, and its JSON."""
    start, kept, log = time.monotonic(), Path(command[-1]), out / f"{name}.log"
    part: dict[str, Any] = {"outcome": "ok"}
    with log.open("w") as file:
        own = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
        )
        try:
            code = own.wait(seconds)
            part["outcome"] = f"exit code {code}" if code else "ok"
        except subprocess.TimeoutExpired:
            part["outcome"] = f"not over after {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):  # whatever it started goes with it
                os.killpg(own.pid, signal.SIGKILL)
    part |= {"seconds": time.monotonic() - start, "said": log.read_text(errors="replace")[-TAIL_CHARACTERS:]}
    try:
        return part | json.loads(kept.read_text())
    except (OSError, ValueError):  # it keeps none, or was ended in the middle of writing it
        return part


def make_all(given: argparse.Namespace) -> dict[str, Any]:
    """Run what can be run in the time; after each part, gpu.json holds all that is known."""
    until = time.monotonic() + given.seconds
    results: dict[str, Any] = {}
    for name, command in parts(given).items():
        seconds = min(LIMITS.get(name, OTHERWISE), until - time.monotonic())
        results[name] = part = (
            make(name, command, given.out, seconds)
            if seconds > 0
            else {"outcome": "no time left", "seconds": 0.0, "said": ""}
        )
        keep(given.out, results)
        print(f"{name}: {part['outcome']}, {part['seconds']:.0f} s", flush=True)
    return results


def keep(out: Path, results: dict[str, Any]) -> None:
    told = {"figures": rows(results), "parts": results}
    (out / "gpu.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


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

    def step(part: str) -> float | None:
        found = row(part, "dcgan64")
        return found and 1e3 * statistics.median(found["seconds"]["ours"])

    plain = row("step-bf16", "dcgan64")
    speedup = plain and statistics.median(plain["speedup"])
    return [
        ("dcgan64, bf16, ms a step", "at most 1.2", step("step-bf16")),
        ("dcgan64, bf16, layers fused if faster, ms a step", "at most 1.2", step("step-bf16-fused")),
        ("dcgan64, bf16, times the textbook loop's speed", "at least 10", speedup),
        ("16 lanes of vanilla, times one", "at most 1.5", lanes("vanilla")),
        ("16 lanes of dcgan28, times one", "at most 4", lanes("dcgan28")),
        (
            "2 models x 3 seeds x 2 rates x 25 epochs, seconds, start and report too",
            "under 120",
            matrix_seconds(results),
        ),
    ]


def reached(bound: str, value: float) -> bool:
    """Return whether a value keeps a bound such as `at most 1.2`."""
    limit = float(bound.split()[-1])
    return value >= limit if bound.startswith("at least") else value <= limit


def rows(results: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the table of figures: what, what was asked, what was measured, and whether that is reached."""
    told = []
    for name, bound, value in figures(results):
        measured = "not measured" if value is None else f"{value:.4g}"
        told.append((name, bound, measured, "" if value is None else "yes" if reached(bound, value) else "NO"))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is empty, or not there yet")
    parser.add_argument("--parts", type=lambda text: text.split(","), help="only these: checks,matrix,lanes ...")
    parser.add_argument("--seconds", type=float, default=570, help="that all parts together may take")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the part that runs is ended, too
    unknown = set(given.parts or ()) - set(parts(argparse.Namespace(**{**vars(given), "parts": None})))
    if unknown:
        parser.error(f"--parts: no part is called {' or '.join(sorted(unknown))}")
    given.out.mkdir(parents=True, exist_ok=True)
    if any(given.out.iterdir()):
        parser.error(
            f"--out {given.out}: not empty, and what is there would pass for measured; name another folder"
        )
    results = make_all(given)
    checks = results.get("checks", {}).get("rows", [])
    show("checks", ("check", "outcome"), [(each["check"], each["outcome"]) for each in checks])
    show("parts", ("part", "outcome", "s"), [(k, v["outcome"], f"{v['seconds']:.0f}") for k, v in results.items()])
    show("figures", ("figure", "asked", "measured", "reached"), rows(results))
    sys.exit(any(part["outcome"] != "ok" for part in results.values()))


def show(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
