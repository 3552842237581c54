"""A results folder with a finished, an interrupted and a failed run and a report, to damage copies of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from whole_runs import Trial

import gan_bench as gb
from gan_bench import pipeline
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses
from gan_bench.record import Progress
from gan_bench.report.data import ReportData
from gan_bench.report.plotting import Drawn, plots

DONE, CUT, FAILED = "s0", "s1", "s2"
"""What tells the runs' ids apart."""
KNOWN: dict[str, Any] = {"eval_every": 1, "metrics": ("fid",)}


class Fails(BCE):
    """Does what its name says."""

    def generator(self, fake_logits: Any) -> Any:
        raise RuntimeError("it fails")


def make(out: Path, cache: Path) -> None:
    """Fill `out`."""

    def interrupt(news: Progress) -> None:
        if news.kind == "epoch" and news.epoch and news.epoch.epoch == 3 and CUT in news.run_ids[0].split("-"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "CHECKPOINT_SECONDS", 0.0)
        losses.names()
        patch.setattr(losses, "_things", {**losses._things, "fails": Fails})
        failed = Trial(out, cache, {**KNOWN, "seeds": (2,), "losses": ("fails",)}, {})
        assert failed.run()[0].status == "failed"
        with pytest.raises(KeyboardInterrupt):
            again(out, cache).run(interrupt)
    gb.write_report(out)


def look_at_pictures(data: ReportData) -> list[Drawn]:
    """Stand in for the drawing of all plots: read every picture that they read, and draw none, in less time."""
    for name in ("samples", "progress"):
        plots.get(name)(data)
    return []


def again(out: Path, cache: Path) -> Trial:
    """The command that finishes what is left, but for the run that fails."""
    return Trial(out, cache, {**KNOWN, "seeds": (0, 1)}, {})


def names(kept: Path) -> list[Path]:
    """Every file and folder, by its name inside; of a run's grids the first and the real one stand for all."""
    found = sorted(path.relative_to(kept) for path in kept.rglob("*"))
    return [name for name in found if not re.fullmatch(r"epoch_000[2-9].png", name.name)]


def run_folder(out: Path, which: str) -> Path:
    (folder,) = (out / "runs").glob(f"*-{which}-*")
    return folder
