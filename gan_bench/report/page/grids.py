"""Sample grids of the page: small images of the same noise over epochs, within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from gan_bench.core.images import epoch_grids, evenly_spaced
from gan_bench.core.records import StoredRun
from gan_bench.report.report_data import ReportData
from gan_bench.report.sample_grids import read_grid, typical_runs

EDGE = 4
"""Images per side of a grid."""
MAX_SIDE = 266
"""Pixels of a grid's side at most: 4 x 4 images of 64 x 64 pixels."""
QUALITY = 80
TYPICAL_FRAMES = 30
"""Epochs of a model's typical run at most; other runs have fewer."""
OTHER_FRAMES = 12
BUDGET = 6_500_000
"""Bytes of all grids of 50 runs at most, as text."""
BUDGET_RUNS = 50
BUDGET_OF_FURTHER = 8_000
"""Bytes for each further run."""
MAX_BUDGET = 12_000_000
"""Bytes of all grids at most, however many runs there are."""


@dataclass
class RunGrids:
    """The grids of one run: data URIs by epoch, the last one among them."""

    run: StoredRun
    frames: dict[int, str] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The last epoch with a grid."""
        return max(self.frames)


@dataclass(frozen=True)
class PageGrids:
    """Grids of the page: those of runs by run id, and those of real images by data set."""

    runs: dict[str, RunGrids]
    real: dict[str, str]
    typical: dict[tuple[str, str], str]
    """The run that represents a model on a data set: (data set, label) to run id."""


def page_grids(data: ReportData) -> PageGrids:
    """Return the grids that fit the page: every run's last one first, then other epochs, typical runs first."""
    typical: dict[tuple[str, str], str] = {}
    for part, name in zip(data.by_dataset(), data.datasets, strict=True):
        typical |= {(name, label): run.record.run_id for label, run in typical_runs(part).items()}
    first = list(typical.values())
    reported = set(data.reported()["run_id"])
    order = sorted(data.stored, key=lambda run: _priority(run, first, reported))
    files = {run.record.run_id: epoch_grids(run.folder / "samples", root=run.folder.parent) for run in order}
    left = min(MAX_BUDGET, BUDGET + BUDGET_OF_FURTHER * max(0, len(order) - BUDGET_RUNS))
    found = {run.record.run_id: RunGrids(run) for run in order}
    wanted = [(run, max(files[run.record.run_id])) for run in order if files[run.record.run_id]]
    for run in order:
        count = TYPICAL_FRAMES if run.record.run_id in first else OTHER_FRAMES
        wanted += [(run, epoch) for epoch in evenly_spaced(list(files[run.record.run_id]), count)[:-1]]
    for run, epoch in wanted:
        if left <= 0:
            break
        uri = grid_uri(run, files[run.record.run_id][epoch].name)
        if uri:
            found[run.record.run_id].frames[epoch] = uri
            left -= len(uri)
    real = {name: uri for name in data.datasets if (uri := _real(data, name, order))}
    return PageGrids({key: grids for key, grids in found.items() if grids.frames}, real, typical)


def _priority(run: StoredRun, typical: Sequence[str], reported: set[str]) -> tuple[int, bool, str]:
    key = run.record.run_id
    return typical.index(key) if key in typical else len(typical), key not in reported, key


def _real(data: ReportData, dataset: str, order: Sequence[StoredRun]) -> str:
    own = (run for run in order if run.spec.dataset == dataset)
    return next((uri for run in own if (uri := grid_uri(run, "real.png"))), "")


def grid_uri(run: StoredRun, name: str) -> str:
    """Return the first images of a run's grid as a data URI of a WebP image; empty for an unreadable file."""
    from PIL import Image

    grid = read_grid(run.folder / "samples" / name, EDGE, run.spec.image_size)
    if grid is None:
        return ""
    image = Image.fromarray(grid)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    out = io.BytesIO()
    image.save(out, format="WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
