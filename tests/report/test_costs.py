"""Costs are compared only under equal conditions."""

from pathlib import Path

import pytest
from helpers.made_runs import build, make_spec

from gan_bench.core.records import StoredRun
from gan_bench.report.findings import cost
from gan_bench.report.plots.base import plots
from gan_bench.report.report_data import ReportData, report_data
from gan_bench.report.tables.display_tables import display_costs

UNEQUAL: dict[str, dict[str, object]] = {
    "CPU threads": {"threads": 1},
    "lanes": {"lanes": 4},
    "device": {"device_name": "another"},
}


def costs(runs: list[StoredRun]) -> tuple[ReportData, str]:
    data = report_data(runs)
    return data, cost(data, data.protocols[0])


def two(folder: Path, **changes: object) -> list[StoredRun]:
    """Return runs of two models with two seeds each; `changes` apply to the last run only."""
    runs = [
        build(folder, make_spec(model, seed), pictures=False)
        for model in ("vanilla", "dcgan28")
        for seed in (0, 1)
    ]
    return [*runs[:-1], build(folder, make_spec("dcgan28", 1), pictures=False, **changes)]


def test_costs_under_equal_conditions_are_compared(tmp_path: Path) -> None:
    data, sentence = costs(two(tmp_path))
    assert sentence.startswith("An epoch of dcgan28 takes")
    assert len(display_costs(data).rows) == 2


@pytest.mark.parametrize("condition", UNEQUAL)
def test_costs_under_unequal_conditions_are_separate_rows_and_panels(tmp_path: Path, condition: str) -> None:
    data, sentence = costs(two(tmp_path, **UNEQUAL[condition]))
    assert sentence == f"Their costs can't be compared: they differ in {condition}."
    assert len(display_costs(data).rows) == 3
    figure = plots.get("epoch_time")(data)
    assert figure is not None
    assert len(figure.axes) == 2


def test_threads_are_a_column_and_unknown_where_not_recorded(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(seed=seed), pictures=False, threads=n) for seed, n in enumerate((1, 2, 0))]
    data = report_data(runs)
    assert list(data.runs["threads"]) == ["1", "2", ""]
    assert list(data.summary["threads"]) == ["1, 2"]
    figure = plots.get("score_by_time")(data)
    assert figure is not None
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert [line for line in entries if "threads: 1" in line]
    assert [line for line in entries if "threads: unknown" in line]


def test_energy_has_a_column_where_it_was_measured(tmp_path: Path) -> None:
    without = build(tmp_path, make_spec("vanilla"), pictures=False)
    assert "energy / lanes [J]" not in display_costs(report_data([without])).headings
    measured = [
        build(tmp_path, make_spec("dcgan28", seed), pictures=False, energy_joules=joules, energy_source="nvml")
        for seed, joules in enumerate((300.0, 500.0))
    ]
    lanes = build(tmp_path, make_spec("dcgan28", 7), pictures=False, energy_joules=800.0, lanes=4)
    data = report_data([without, *measured, lanes])
    table = display_costs(data)
    shown = [(row[0], row[table.headings.index("energy / lanes [J]")]) for row in table.rows]
    assert sorted(shown) == [("dcgan28", "200"), ("dcgan28", "400"), ("vanilla", "\u2013")]
    assert data.runs.set_index("run_id").loc[lanes.record.run_id, "energy_joules"] == 800.0
