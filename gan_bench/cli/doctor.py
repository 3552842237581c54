"""gan-bench doctor: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

PLENTY_BYTES = 2 * 2**30


@click.command(short_help="Devices, versions, data, weights, disk; and what to do.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Where data sets lie (or GAN_BENCH_DATA).")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/local"),
    show_default=True,
    help="Where results will go.",
)
@click.option(
    "--results", type=click.Path(path_type=Path), metavar="DIR", help="Look over a results folder instead."
)
@click.option("--repair", is_flag=True, help="With --results: remove what killed processes left unfinished.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def doctor(data_root: Path | None, out: Path, results: Path | None, repair: bool, as_json: bool) -> None:
    """Look at devices, versions, data sets, extractor weights and disk; say what to do about each lack.

    With --results DIR: verify every run of a results folder. Exit code 1 if something in it is damaged.
    """
    from gan_bench.cli.tables import print_rows
    from gan_bench.errors import InputError

    if results is not None:
        _look_over(results, repair, as_json)
        return
    if repair:
        raise InputError("--repair was asked: of which folder? type --results DIR with it")
    from gan_bench.data.dataset import default_root

    rows = [*_versions(), *_devices(), *_data(data_root or default_root()), *_extractors(), *_disk(out)]
    print_rows(rows, as_json=as_json)


def _look_over(results: Path, repair: bool, as_json: bool) -> None:
    from gan_bench.cli.tables import print_rows
    from gan_bench.store import inspection

    findings = inspection.inspect(results)
    removed = inspection.repair(results, findings) if repair else []
    if repair:
        findings = inspection.inspect(results)
    rows = [_row(str(path), "removed") for path in removed]
    rows += [_row(finding.where, finding.found, finding.advice) for finding in findings]
    print_rows(rows or [_row(str(results), "nothing is wrong")], as_json=as_json)
    if any(finding.damaged for finding in findings):
        sys.exit(1)


def _row(what: str, found: str, advice: str = "") -> dict[str, Any]:
    return {"what": what, "found": found, "what to do": advice}


def _versions() -> Iterator[dict[str, Any]]:
    import platform

    from gan_bench import environment
    from gan_bench._version import __version__

    yield _row("gan_bench", f"{__version__} {environment.commit()}".strip())
    yield _row("Python", platform.python_version())
    for package in environment.PACKAGES:
        version = environment.version_of(package)
        yield _row(package, version or "missing", "" if version else f"pip install {package}")


def _devices() -> Iterator[dict[str, Any]]:
    import torch

    from gan_bench import environment

    cpu = torch.device("cpu")
    yield _row("cpu", f"{environment.device_name(cpu)}, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        yield _row(str(device), f"{environment.device_name(device)}, {memory:.0f} GiB")
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        yield _row("cuda", f"none ({built})", "fine without; with a GPU, check its driver and torch's build")


def _data(root: Path) -> Iterator[dict[str, Any]]:
    from gan_bench.data.dataset import datasets

    advice = "" if root.is_dir() else "made at the first download; or --data-root"
    if root.exists() and not root.is_dir():
        advice = "this is a file: give a folder, --data-root or GAN_BENCH_DATA"
    yield _row("data folder", str(root), advice)
    for name in datasets:
        there = datasets.get(name).at_hand(root)
        advice = "" if there else f"downloaded at first use; or put its archives under {root}"
        yield _row(f"data: {name}", "at hand" if there else "not at hand", advice)


def _extractors() -> Iterator[dict[str, Any]]:
    from gan_bench.metrics.extractors.extractor import extractors

    for name in extractors:
        there = extractors.get(name).at_hand()
        advice = "" if there else "downloaded at first use (95 MB); or GAN_BENCH_INCEPTION_WEIGHTS=FILE"
        yield _row(f"weights: {name}", "at hand" if there else "not at hand", advice)


def _disk(out: Path) -> Iterator[dict[str, Any]]:
    if out.exists() and not out.is_dir():
        yield _row("disk", f"{out} is a file", "choose another --out")
        return
    place = out.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    advice = "" if free > PLENTY_BYTES else "little: a DCGAN-64 run takes about 0.5 GB; choose another --out"
    yield _row("disk", f"{free / 2**30:.1f} GiB free for {out}", advice)
