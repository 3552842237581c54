"""The contract of every registered plot."""

import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from made_runs import build, build_many, make_spec
from matplotlib.figure import Figure

from gan_bench.record import StoredRun
from gan_bench.report.data import report_data
from gan_bench.report.pictures import read_grid, typical_runs
from gan_bench.report.plotting import draw, plots


def open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot else []


def settings() -> dict[str, object]:
    # The backend is chosen lazily at its first use, here or elsewhere: that is no state of a plot.
    return {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_draws_and_leaves_no_state(name: str, shared_runs: list[StoredRun]) -> None:
    before = settings()
    data = report_data(shared_runs)
    drawn = draw(name, data)
    assert drawn is not None
    assert drawn.png.startswith(b"\x89PNG")
    assert b"<svg" in drawn.svg
    assert drawn.heading
    assert drawn.caption
    assert open_figures() == []
    assert settings() == before


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_is_none_where_there_is_nothing_to_show(name: str, tmp_path: Path) -> None:
    failed = build(tmp_path, make_spec(), pictures=False, status="failed", epochs_list=[])
    assert plots.get(name)(report_data([failed])) is None


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_copes_with_one_run(name: str, tmp_path: Path) -> None:
    figure = plots.get(name)(report_data([build(tmp_path, make_spec())]))
    assert figure is None or isinstance(figure, Figure)


def test_one_panel_a_protocol(shared_runs: list[StoredRun]) -> None:
    data = report_data(shared_runs)
    for name in ("score_by_model", "score_by_rate", "score_by_time"):
        figure = plots.get(name)(data)
        assert figure is not None
        titles = [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes]
        assert len(titles) == 2, name
        assert all(sum(key in title for title in titles) == 1 for key in data.protocols)


def test_a_model_has_one_colour_everywhere(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, models=[f"m{index}" for index in range(14)], pictures=False))
    assert len(set(data.colours.values())) == 14


def test_samples_stand_for_the_median_run(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False))
    chosen = typical_runs(data)["dcgan28"].record.run_id
    values = data.results.set_index("run_id")["value"]
    assert values[chosen] == values.median()


def test_a_broken_picture_is_left_out(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec())
    for file in (run.folder / "samples").iterdir():
        file.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        assert read_grid(file, 8, 28) is None
    assert plots.get("samples")(report_data([run])) is None


def test_many_runs_are_aggregated(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, seeds=range(25), lrs=(2e-4,), pictures=False))
    figure = plots.get("losses")(data)
    assert figure is not None
    assert all(len(ax.lines) <= 2 for ax in figure.axes)
