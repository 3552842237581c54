"""A results folder with a finished, an interrupted and a failed run and a report, to damage copies of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.whole_runs import Trial

import gan_bench as gb
from gan_bench.core.events import EpochFinished, Event
from gan_bench.core.images import png_bytes
from gan_bench.losses.base import losses
from gan_bench.losses.bce import BCE
from gan_bench.report import write_report
from gan_bench.report.plots.base import plots
from gan_bench.report.plotting import RenderedPlot
from gan_bench.report.report_data import ReportData
from gan_bench.runner import group_training

DONE, INTERRUPTED, FAILED = "s0", "s1", "s2"
"""The part of a run's id that distinguishes them."""
EVALUATION: dict[str, Any] = {"eval_every": 1, "metrics": ("fid",)}


class FailingLoss(BCE):
    """A loss that raises."""

    def generator(self, real_logits: Any, fake_logits: Any) -> Any:
        raise RuntimeError("it fails")


def make_trial(out: Path, cache: Path, **changes: Any) -> Trial:
    """Return a trial whose intermediate weights are evaluated."""
    matrix = {**EVALUATION, **changes}
    eval_every = matrix.pop("eval_every")
    return Trial(out, cache, matrix, {"eval_every": eval_every})


def make(out: Path, cache: Path) -> None:
    """Fill `out`."""

    def interrupt(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch.epoch == 3 and INTERRUPTED in event.run_id.split("-"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_training, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(write_report, "render_plots", read_pictures_only)
        losses.names()
        patch.setattr(losses, "_objects", {**losses._objects, "fails": FailingLoss})
        (failed,) = make_trial(out, cache, seeds=(2,), losses=("fails",)).run()
        assert failed.status == "failed"
        with pytest.raises(KeyboardInterrupt):
            same_command(out, cache).run(interrupt)
        gb.write_report(out)


def read_pictures_only(data: ReportData) -> list[RenderedPlot]:
    """Replacement of `render_plots` that reads every image that plots read, and draws a stub, in less time."""
    for name in ("samples", "progress"):
        plots.get(name)(data)
    return [RenderedPlot("samples", "Samples", "A stub.", 1, png_bytes(np.zeros((1, 1), np.uint8)), b"<svg/>")]


def same_command(out: Path, cache: Path) -> Trial:
    """The command that finishes what is missing, except for the failing run."""
    return make_trial(out, cache, seeds=(0, 1))


def names(kept: Path) -> list[Path]:
    """Every file and folder, relative to `kept`; the first and the real grid of a run stand for all grids."""
    found = sorted(path.relative_to(kept) for path in kept.rglob("*"))
    return [name for name in found if not re.fullmatch(r"epoch_000[2-9].png", name.name)]


def run_folder(out: Path, which: str) -> Path:
    (folder,) = (out / "runs").glob(f"*-{which}-*")
    return folder
