"""All checks and benchmarks that need a GPU, in one command: first tests/gpu, then timings and targets.

It needs no network and no installation, only the packages that gan_bench imports, pytest (wheels on PYTHONPATH are
enough), and MNIST as gzipped idx files. `gpu.json` holds all results, with the end of each part's output, and is
updated after every part. The exit code is 1 if a part fails; a missed target is only reported. With `--device cpu`
there is nothing to run.

    python benchmarks/gpu.py --data-root FOLDER --out FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PATHS = (str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", ""))
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, PATHS)),
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "250",  # pytest trims reasons to the width
}
MATRIX = "--models vanilla,dcgan --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25 --dataset mnist --offline"
PROFILE = "--models dcgan64 --precision bf16 --steps 500 --metrics fid --profile --dataset mnist --offline"
GPU_TESTS = ROOT / "tests" / "gpu"
LIMITS = {"checks": 270.0, "matrix": 200.0, "step-bf16-fused": 240.0}
DEFAULT_LIMIT = 150.0
"""Time limit of a part in seconds."""
TAIL_CHARACTERS = 6000


def parts(given: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each part, by name."""

    def script(name: str, *options: str) -> list[str]:
        out = given.out / f"{len(found)}_{name}.json"
        own = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options]
        return [*own, *places, "--out", str(out)]

    places = ["--device", given.device, "--data-root", str(given.data_root)]
    found: dict[str, list[str]] = {}
    if given.device == "cpu":
        return found
    found["checks"] = pytest_command(GPU_TESTS)
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


def pytest_command(folder: Path) -> list[str]:
    """Return the command that runs a folder's tests without pyproject.toml and other folders' conftest.py.

    Those need plugins of pytest.
    """
    options = ["-v", "--import-mode=importlib", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", os.devnull]
    return [sys.executable, "-m", "pytest", str(folder), "--confcutdir", str(folder), *options]


def run_part(name: str, command: list[str], out: Path, seconds: float) -> dict[str, Any]:
    """Run a part with a time limit; return its outcome, the end of its output, and its results.

    Results are the JSON that it wrote, or `rows` of tests and outcomes for pytest.
    """
    if name == "checks" and importlib.util.find_spec("pytest") is None:
        return {"outcome": "pytest is not installed: carry its wheels", "seconds": 0.0, "output": ""}
    start, results, log = time.monotonic(), Path(command[-1]), out / f"{name}.log"
    part: dict[str, Any] = {"outcome": "ok"}
    with log.open("w") as file:
        own = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
        )
        try:
            code = own.wait(seconds)
            part["outcome"] = f"exit code {code}" if code else "ok"
        except subprocess.TimeoutExpired:
            part["outcome"] = f"not finished after {seconds:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):  # with its child processes
                os.killpg(own.pid, signal.SIGKILL)
    output = log.read_text(errors="replace")
    part |= {"seconds": time.monotonic() - start, "output": output[-TAIL_CHARACTERS:]}
    if name == "checks":
        part["rows"] = check_rows(output)
        if part["outcome"] == "ok" and not any(row["outcome"] == "passed" for row in part["rows"]):
            part["outcome"] = "no check was run"
        return part
    try:
        return part | json.loads(results.read_text())
    except (OSError, ValueError):  # none, or incomplete
        return part


def check_rows(output: str) -> list[dict[str, str]]:
    """Return the outcome of each test in the output of `pytest -v`, also of an incomplete one."""
    outcomes = re.findall(r"^(\S+::\S+) (PASSED|FAILED|ERROR|SKIPPED)( \(.*\))?", output, re.MULTILINE)
    reasons = dict(re.findall(r"^(?:FAILED|ERROR) (\S+::\S+) - (.*)$", output, re.MULTILINE))
    return [
        {
            "check": test.rpartition("/")[2],
            "outcome": outcome.lower() + (reason or f" {reasons.get(test, '')}").rstrip(),
        }
        for test, outcome, reason in outcomes
    ]


def run_parts(given: argparse.Namespace) -> dict[str, Any]:
    """Run the parts within the time limit of all; update gpu.json after each."""
    until = time.monotonic() + given.seconds
    results: dict[str, Any] = {}
    for name, command in parts(given).items():
        seconds = min(LIMITS.get(name, DEFAULT_LIMIT), until - time.monotonic())
        results[name] = part = (
            run_part(name, command, given.out, seconds)
            if seconds > 0
            else {"outcome": "no time left", "seconds": 0.0, "output": ""}
        )
        write_results(given.out, results)
        print(f"{name}: {part['outcome']}, {part['seconds']:.0f} s", flush=True)
    return results


def write_results(out: Path, results: dict[str, Any]) -> None:
    content = {"targets": rows(results), "parts": results}
    (out / "gpu.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def matrix_seconds(results: dict[str, Any]) -> float | None:
    """Return the time of the matrix, if it finished."""
    part = results.get("matrix", {})
    return part["seconds"] if part.get("outcome") == "ok" else None


def targets(results: dict[str, Any]) -> list[tuple[str, str, float | None]]:
    """Return each target with its bound and the measured value, None if it was not measured."""

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
        ("dcgan64, bf16, ms per step", "at most 1.2", step("step-bf16")),
        ("dcgan64, bf16, with torch.compile if faster, ms per step", "at most 1.2", step("step-bf16-fused")),
        ("dcgan64, bf16, speed-up over the textbook loop", "at least 10", speedup),
        ("step of 16 lanes of vanilla, relative to one", "at most 1.5", lanes("vanilla")),
        ("step of 16 lanes of dcgan28, relative to one", "at most 4", lanes("dcgan28")),
        (
            "2 models x 3 seeds x 2 rates x 25 epochs, seconds with start and report",
            "under 120",
            matrix_seconds(results),
        ),
    ]


def reached(bound: str, value: float) -> bool:
    """Return whether a value meets a bound such as `at most 1.2`."""
    limit = float(bound.split()[-1])
    return value >= limit if bound.startswith("at least") else value <= limit


def rows(results: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the table of targets: name, bound, measured value, and whether it is reached."""
    table = []
    for name, bound, value in targets(results):
        measured = "not measured" if value is None else f"{value:.4g}"
        table.append((name, bound, measured, "" if value is None else "yes" if reached(bound, value) else "NO"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("--parts", type=lambda text: text.split(","), help="only these: checks,matrix,lanes ...")
    parser.add_argument("--seconds", type=float, default=570, help="time limit of all parts together")
    given = parser.parse_args()
    if given.device == "cpu":
        print("--device cpu: nothing to run, every check and benchmark here needs a GPU")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the running part, too
    unknown = set(given.parts or ()) - set(parts(argparse.Namespace(**{**vars(given), "parts": None})))
    if unknown:
        parser.error(f"--parts: unknown part {' or '.join(sorted(unknown))}")
    given.out.mkdir(parents=True, exist_ok=True)
    if any(given.out.iterdir()):
        parser.error(
            f"--out {given.out}: not empty; name another folder, so that older results are not taken for new ones"
        )
    results = run_parts(given)
    checks = results.get("checks", {}).get("rows", [])
    show("checks", ("check", "outcome"), [(row["check"], row["outcome"]) for row in checks])
    show("parts", ("part", "outcome", "s"), [(k, v["outcome"], f"{v['seconds']:.0f}") for k, v in results.items()])
    show("targets", ("target", "bound", "measured", "reached"), rows(results))
    sys.exit(any(part["outcome"] != "ok" for part in results.values()))


def show(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
