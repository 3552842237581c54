"""gan-bench doctor: devices, versions, data, weights and disk, with a fix for each problem."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from gan_bench.cli import options as shared
from gan_bench.core.errors import InputError

ENOUGH_BYTES = 2 * 2**30


@click.command()
@shared.shared_options("data_root", "out")
@click.option("--results", type=shared.UserPath(), metavar="DIR", help="Verify a results folder instead.")
@click.option("--repair", is_flag=True, help="With --results: remove files that killed processes left behind.")
@shared.json_option
def doctor(data_root: Path | None, out: Path, results: Path | None, repair: bool, as_json: bool) -> None:
    """Check devices, versions, data sets, extractor weights and disk, with a fix for each problem.

    With --results DIR: verify every run of a results folder. Exit code 1 if something in it is damaged.
    """
    from gan_bench.cli.ui.tables import print_rows

    if results is not None:
        _verify(results, repair, as_json)
        return
    if repair:
        raise InputError("--repair: no folder was given; type --results DIR too")
    from gan_bench.data.base import default_root

    root = data_root or default_root()
    rows = [*_versions(), *_devices(), *_data(root), *_extractors(), *_leftovers(root), *_disk(out)]
    print_rows(rows, as_json=as_json)
    if not as_json:
        from gan_bench.cli.ui.output import echo

        echo(_summary(rows))


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    """Return one line: devices, data sets and weights that are ready, and those that are missing."""
    found: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}
    for row in rows:
        kind, _, name = row["check"].rpartition(": ")
        if row["found"] == "trained at first use":  # neither: it needs its data set
            continue
        if kind in ("data", "weights") or name.startswith(("cpu", "cuda", "mps")):
            ready = row["found"].startswith(("available", "trained")) or not (kind or row["fix"])
            found[ready].setdefault(kind, []).append(name)
    texts = {
        ready: "; ".join(f"{kind} {', '.join(names)}".strip() for kind, names in kinds.items())
        for ready, kinds in found.items()
    }
    return f"Ready: {texts[True] or 'nothing'}. Missing: {texts[False] or 'nothing'}."


def _verify(results: Path, repair: bool, as_json: bool) -> None:
    from gan_bench.cli.ui.tables import print_rows
    from gan_bench.store import verify

    findings = verify.inspect(results)
    removed = verify.repair(results, findings) if repair else []
    if repair:
        findings = verify.inspect(results)
    rows = [_row(str(path), "removed") for path in removed]
    rows += [_row(finding.where, finding.found, finding.advice) for finding in findings]
    print_rows(rows or [_row(str(results), "intact")], as_json=as_json)
    if any(finding.damaged for finding in findings):
        sys.exit(1)


def _row(check: str, found: str, fix: str = "") -> dict[str, Any]:
    return {"check": check, "found": found, "fix": fix}


def _versions() -> Iterator[dict[str, Any]]:
    import platform

    from gan_bench._version import __version__
    from gan_bench.runner import environment

    yield _row("gan_bench", f"{__version__} {environment.commit()}".strip())
    yield _row("Python", platform.python_version())
    for package in environment.PACKAGES:
        version = environment.version_of(package)
        yield _row(package, version or "missing", "" if version else f"pip install {package}")


def _devices() -> Iterator[dict[str, Any]]:
    import torch

    from gan_bench.devices import select

    cpu = torch.device("cpu")
    yield _row("cpu", f"{select.device_name(cpu)}, {torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        yield _row(str(device), f"{select.device_name(device)}, {memory:.0f} GiB")
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        yield _row("cuda", f"none ({built})", "only needed with a GPU: check its driver and torch's build")


def _data(root: Path) -> Iterator[dict[str, Any]]:
    from gan_bench.data.base import datasets

    advice = "" if root.is_dir() else "created at the first download; or type --data-root"
    if root.exists() and not root.is_dir():
        advice = "is a file: name a folder with --data-root or GAN_BENCH_DATA"
    yield _row("data folder", str(root), advice)
    for name, dataset in datasets.items():
        available = dataset.is_available(root)
        advice = "" if available else f"downloaded at first use; or put its archives under {root}"
        seen = "" if available else dataset.explain_absence(root)
        advice += f" (seen: {seen})" if seen else ""
        yield _row(f"data: {name}", "available" if available else "missing", advice)


def _extractors() -> Iterator[dict[str, Any]]:
    from gan_bench.metrics.extractors.base import extractors

    for name, extractor in extractors.items():
        state, _, fault = extractor.state().partition(": ")
        advice = "downloaded at first use (95 MB); or set GAN_BENCH_INCEPTION_WEIGHTS=FILE"
        yield _row(f"weights: {name}", state, fault or (advice if state == "missing" else ""))


def _leftovers(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the folders of data, caches and weights with incomplete files of killed processes."""
    from gan_bench.core.files import leftovers
    from gan_bench.core.private_folder import user_cache
    from gan_bench.metrics.extractors.base import default_cache
    from gan_bench.metrics.extractors.inception import weights_path

    cache = default_cache()
    folders = (
        *sorted(root.glob("*/raw")),
        user_cache() / "images",
        cache,
        cache / "extractors",
        weights_path().parent,
    )
    for folder in dict.fromkeys(folders):
        paths = leftovers(folder)
        if paths:
            advice = f"when nothing is running, delete {', '.join(map(str, paths[:3]))}"
            yield _row("incomplete files", f"{len(paths)} in {folder}", advice + ", ..." * (len(paths) > 3))


def _disk(out: Path) -> Iterator[dict[str, Any]]:
    if out.exists() and not out.is_dir():
        yield _row("disk", f"{out} is a file", "choose another --out")
        return
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    advice = "" if free > ENOUGH_BYTES else "low: a DCGAN-64 run takes about 0.5 GB; choose another --out"
    yield _row("disk", f"{free / 2**30:.1f} GiB free for {out}", advice)
