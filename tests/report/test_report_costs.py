"""Times are compared only where they were taken alike."""

from pathlib import Path

import pytest
from made_runs import build, make_spec

from gan_bench.record import StoredRun
from gan_bench.report.data import ReportData, report_data
from gan_bench.report.plotting import plots
from gan_bench.report.story import cost
from gan_bench.report.views import cost_view

UNLIKE: dict[str, dict[str, object]] = {
    "CPU threads": {"threads": 1},
    "lanes": {"lanes": 4},
    "device": {"device_name": "another"},
}


def costs(runs: list[StoredRun]) -> tuple[ReportData, str]:
    data = report_data(runs)
    return data, cost(data, data.protocols[0])


def two(folder: Path, **changes: object) -> list[StoredRun]:
    """Two models, two seeds each; `changes` hold for the last run alone."""
    runs = [
        build(folder, make_spec(model, seed), pictures=False)
        for model in ("vanilla", "dcgan28")
        for seed in (0, 1)
    ]
    return [*runs[:-1], build(folder, make_spec("dcgan28", 1), pictures=False, **changes)]


def test_times_that_were_taken_alike_are_compared(tmp_path: Path) -> None:
    data, told = costs(two(tmp_path))
    assert told.startswith("An epoch of dcgan28 takes")
    assert len(cost_view(data).rows) == 2


@pytest.mark.parametrize("what", UNLIKE)
def test_times_that_were_taken_otherwise_are_kept_apart(tmp_path: Path, what: str) -> None:
    data, told = costs(two(tmp_path, **UNLIKE[what]))
    assert told == f"Their costs can't be compared: they differ in {what}."
    assert len(cost_view(data).rows) == 3
    figure = plots.get("epoch_time")(data)
    assert figure is not None
    assert len(figure.axes) == 2


def test_threads_are_a_column_and_empty_where_nobody_wrote_them_down(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(seed=seed), pictures=False, threads=n) for seed, n in enumerate((1, 2, 0))]
    data = report_data(runs)
    assert list(data.runs["threads"]) == ["1", "2", ""]
    assert list(data.summary["threads"]) == ["1, 2"]
    figure = plots.get("score_by_time")(data)
    assert figure is not None
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert [line for line in words if "threads: 1" in line]
    assert [line for line in words if "threads: unknown" in line]
