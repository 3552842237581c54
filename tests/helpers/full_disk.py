"""A program that mounts a small disk, fills it, enlarges it, and makes it read-only.

It runs in a mount namespace of its own, where the disk is a tmpfs. Each command's outcome is printed as JSON.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from helpers import kept_results
from helpers.victims import TINY

from gan_bench.cli import main
from gan_bench.report import write_report

SMALL, LARGE = "width=0.0625", "width=1"


def mount(root: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(root)], check=True)


def sums(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def invoke(name: str, *arguments: str) -> None:
    """Run a command and print how it ended."""
    result = CliRunner().invoke(main, arguments)
    exited = result.exception is None or isinstance(result.exception, SystemExit)
    emit(name, code=result.exit_code, error=result.stderr, crashed=not exited)


def emit(name: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"name": name, **values}) + "\n")
    sys.stdout.flush()


def run(name: str, out: Path, *options: str) -> None:
    invoke(name, "run", "--out", str(out), "--models", "vanilla", "--metrics", "is", *TINY, *options)


def program(root: Path) -> None:
    """ROOT: an empty folder to mount the disk on."""
    out = root / "out"
    write_report.render_plots = kept_results.read_pictures_only  # in less time; pages and tables are still written
    mount(root, "size=6m")
    run("first", out, "--set", SMALL)
    before = sums(out / "runs")
    run("full", out, "--set", LARGE)
    intact = {name: sums(out / "runs").get(name) for name in before} == before
    emit("after full", intact=intact, leftovers=leftovers(out))
    invoke("report on a full disk", "doctor", "--results", str(out))
    mount(root, "remount,size=64m")
    run("larger", out, "--set", LARGE)
    before = sums(out)
    mount(root, "remount,ro")
    run("read-only", out, "--set", SMALL, "--seeds", "1")
    invoke("status of read-only", "status", str(out))
    invoke("report of read-only", "report", str(out))
    emit("after read-only", intact=sums(out) == before, leftovers=leftovers(out))


def leftovers(out: Path) -> list[str]:
    return [str(path) for path in out.rglob(".*") if path.is_file()]


if __name__ == "__main__":
    program(Path(sys.argv[1]))
