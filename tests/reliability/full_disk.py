"""A program that has a small disk of its own, fills it up, makes it larger, and makes it read-only.

It runs in a mount namespace: the disk, a tmpfs, is gone with it. What became of each command is printed as JSON.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kept_results
from click.testing import CliRunner
from victims import TINY

from gan_bench.cli import main
from gan_bench.report import report

SMALL, LARGE = "width=0.0625", "width=1"


def mount(root: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(root)], check=True)


def sums(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def ask(name: str, *arguments: str) -> None:
    """Type a command and tell how it ended."""
    result = CliRunner().invoke(main, arguments)
    tell(name, code=result.exit_code, error=result.stderr, crashed=not _left(result.exception))


def _left(exception: BaseException | None) -> bool:
    return exception is None or isinstance(exception, SystemExit)


def tell(name: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"name": name, **values}) + "\n")
    sys.stdout.flush()


def run(name: str, out: Path, *options: str) -> None:
    ask(name, "run", "--out", str(out), "--models", "vanilla", "--metrics", "is", *TINY, *options)


def program(root: Path) -> None:
    """ROOT: an empty folder to mount the disk on."""
    out = root / "out"
    report.draw_all = kept_results.look_at_pictures  # in less time; pages and tables are written all the same
    mount(root, "size=6m")
    run("first", out, "--set", SMALL)
    before = sums(out / "runs")
    run("full", out, "--set", LARGE)
    tell(
        "after full", intact={name: sums(out / "runs").get(name) for name in before} == before, beside=beside(out)
    )
    ask("report on a full disk", "doctor", "--results", str(out))
    mount(root, "remount,size=64m")
    run("larger", out, "--set", LARGE)
    before = sums(out)
    mount(root, "remount,ro")
    run("read-only", out, "--set", SMALL, "--seeds", "1")
    ask("status of read-only", "status", str(out))
    ask("report of read-only", "report", str(out))
    tell("after read-only", intact=sums(out) == before, beside=beside(out))


def beside(out: Path) -> list[str]:
    return [str(path) for path in out.rglob(".*") if path.is_file()]


if __name__ == "__main__":
    program(Path(sys.argv[1]))
