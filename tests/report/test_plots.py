"""The contract of every registered plot."""

import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from helpers.made_runs import build, build_many, make_spec
from matplotlib.figure import Figure

from gan_bench.core.records import StoredRun
from gan_bench.report.plots.base import plot, plots
from gan_bench.report.plotting import render_plot, render_plots
from gan_bench.report.report_data import ReportData, report_data
from gan_bench.report.sample_grids import read_grid, typical_runs


def open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot else []


def rc_params() -> dict[str, object]:
    # The backend is chosen lazily at its first use, so it is not state left by a plot.
    return {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_renders_and_leaves_no_state(name: str, shared_runs: list[StoredRun]) -> None:
    before = rc_params()
    data = report_data(shared_runs)
    rendered = render_plot(name, data)
    assert rendered is not None
    assert rendered.png.startswith(b"\x89PNG")
    assert b"<svg" in rendered.svg
    assert rendered.title
    assert rendered.caption
    assert open_figures() == []
    assert rc_params() == before


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_without_data_is_none(name: str, tmp_path: Path) -> None:
    failed = build(tmp_path, make_spec(), pictures=False, status="failed", epochs_list=[])
    assert plots.get(name)(report_data([failed])) is None


@pytest.mark.parametrize("name", plots.names())
def test_a_plot_of_one_run_is_a_figure_or_none(name: str, tmp_path: Path) -> None:
    figure = plots.get(name)(report_data([build(tmp_path, make_spec())]))
    assert figure is None or isinstance(figure, Figure)


def test_one_panel_per_protocol(shared_runs: list[StoredRun]) -> None:
    data = report_data(shared_runs)
    for name in ("score_by_model", "score_by_rate", "score_by_time"):
        figure = plots.get(name)(data)
        assert figure is not None
        titles = [ax.get_title() + ax.get_title(loc="left") for ax in figure.axes]
        assert len(titles) == 2, name
        assert all(sum(key in title for title in titles) == 1 for key in data.protocols)


def test_each_label_has_its_own_color(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, models=[f"m{index}" for index in range(14)], pictures=False))
    assert len(set(data.colors.values())) == 14


def test_samples_are_of_the_median_run(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False))
    chosen = typical_runs(data)["dcgan28"].record.run_id
    values = data.training_scores.set_index("run_id")["value"]
    assert values[chosen] == values.median()


def test_a_damaged_sample_grid_is_left_out(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec())
    for file in (run.folder / "samples").iterdir():
        file.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        assert read_grid(file, 8, 28) is None
    assert plots.get("samples")(report_data([run])) is None


def test_losses_of_many_runs_are_bands(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, seeds=range(25), lrs=(2e-4,), pictures=False))
    figure = plots.get("losses")(data)
    assert figure is not None
    assert all(len(ax.lines) <= 2 for ax in figure.axes)


def test_plots_are_rendered_in_declared_order(
    shared_runs: list[StoredRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_objects", {**{name: plots.get(name) for name in plots.names()}})

    @plot("a-plugin", title="A title", caption="A caption.", order=15)
    def figure(data: ReportData) -> Figure:
        """Not the caption."""
        return Figure()

    rendered = render_plots(report_data(shared_runs))
    assert [each.name for each in rendered[:3]] == ["score_by_model", "a-plugin", "samples"]
    assert (rendered[1].title, rendered[1].caption) == ("A title", "A caption.")


@pytest.mark.parametrize("name", ["metrics", "score_by_time", "score_by_model"])
def test_draws_of_one_training_are_one_point(name: str, tmp_path: Path) -> None:
    counts = []
    for draws in (1, 3):
        run = build(tmp_path, make_spec(), pictures=False, draws=draws)
        figure = plots.get(name)(report_data([run]))
        assert figure is not None
        collections = (each for ax in figure.axes for each in ax.collections)
        counts.append(sum(len(each.get_offsets()) for each in collections))  # type: ignore[arg-type]
    assert counts[0] == counts[1]
