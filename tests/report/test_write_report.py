"""The report folder: its files, escaping of their text, determinism, imports."""

import errno
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers.kept_results import read_pictures_only
from helpers.made_runs import build, build_many, make_spec, realistic
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.errors import InputError, RunError
from gan_bench.core.frozen import Scalar
from gan_bench.core.records import StoredRun
from gan_bench.report import write_report as module
from gan_bench.report.csv_text import csv_bytes
from gan_bench.report.findings import conclusions, warning
from gan_bench.report.limitations import limitations
from gan_bench.report.page.render import render_html, render_markdown
from gan_bench.report.report_data import report_data
from gan_bench.report.write_report import ReportPaths, write_files

PAYLOAD = "<script src=http://evil.example/x.js></script>|`![x](http://evil.example/y.png)\n# no heading"


pytestmark = pytest.mark.xdist_group("write report")  # the tests share what one worker made


@pytest.fixture
def stub_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace plots by stubs, for tests of everything else: rendering takes seconds."""
    monkeypatch.setattr(module, "render_plots", read_pictures_only)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    folder = tmp_path_factory.mktemp("report")
    return write_files(realistic(folder), folder / "report")


def test_every_file_is_written_and_no_temporary_file_remains(written: ReportPaths) -> None:
    found = {str(path.relative_to(written.folder)) for path in written.folder.rglob("*") if path.is_file()}
    expected = {
        "runs.csv",
        "runs.parquet",
        "scores.csv",
        "summary.csv",
        "leaderboard.csv",
        "report.md",
        "index.html",
    }
    assert expected <= found
    assert {"plots/score_by_model.png", "plots/score_by_model.svg", "plots/samples.png"} <= found
    assert not [name for name in found if ".tmp" in name]


def test_csv_and_parquet_are_equal(written: ReportPaths) -> None:
    csv, parquet = pd.read_csv(written.runs_csv), pd.read_parquet(written.runs_parquet)
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet) == 14
    assert len(pd.read_csv(written.leaderboard_csv)) == 4


@pytest.mark.usefixtures("stub_plots")
@pytest.mark.parametrize(
    ("one", "other", "read"),
    [("soft", 3, ["soft", "3"]), (True, 0.5, ["True", "0.5"]), (True, None, [True, None]), (1, 0.5, [1.0, 0.5])],
)
def test_a_setting_of_two_types_is_written_as_text(
    tmp_path: Path, one: Scalar, other: Scalar | None, read: list[object]
) -> None:
    settings = [{"mode": one}, {} if other is None else {"mode": other}]
    pairs = zip(("vanilla", "dcgan28"), settings, strict=True)
    runs = [build(tmp_path, make_spec(model, settings=own), pictures=False) for model, own in pairs]
    paths = write_files(runs, tmp_path / "report")
    found = pd.read_parquet(paths.runs_parquet).sort_values("model", ascending=False)["setting_mode"]
    assert [None if pd.isna(value) else value for value in found] == read
    assert pd.read_csv(paths.runs_csv)["setting_mode"].notna().sum() == sum(value is not None for value in read)


def test_page_is_self_contained(written: ReportPaths) -> None:
    html = written.page.read_text().partition("<script>")[0]
    assert re.findall(r"<(?:link|iframe|object|embed|base)\b", html) == []
    assert re.findall(r"<script(?! type=\"application/json\"|>)", html) == []
    assert re.findall(r'<[^>]* src="(?!data:image/(?:png|webp);base64,)', html) == []
    assert re.findall(r'<[^>]* href="(?!#|runs\.|scores\.)', html) == []
    assert re.findall(r"<[a-z]+[^<>]* style=", html) == []
    assert "prefers-color-scheme:dark" in html
    assert "@media print" in html


def test_page_has_charts_grids_and_tables_without_scripts(written: ReportPaths) -> None:
    html = written.page.read_text().partition("<script")[0]
    for name in ("scores", "quality", "rates", "d_loss", "g_loss"):
        assert re.search(rf'id="s1-chart-{name}"[^>]*><svg', html), name
    assert html.count('<img src="data:image/webp;base64,') > 14
    for name in ("s1-board", "s1-pairs-table", "runs-table"):
        assert f'<table id="{name}"' in html


def test_html_and_markdown_have_failures_references_and_protocol(written: ReportPaths) -> None:
    for text in (written.page.read_text(), written.markdown.read_text()):
        for part in ("real images", "noise", "d_loss became nan", "torch_fidelity_version", "optimistic"):
            assert part in text
        assert "gan-bench run --models" in text


@pytest.mark.usefixtures("stub_plots")
def test_html_and_markdown_name_both_spreads(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, lrs=(2e-4,), pictures=False, evaluation={"draws": 3}))
    for text in (render_html(data, []), render_markdown(data, [])):
        for part in (
            "std over seeds",
            "std over draws",
            "over 3 seeds and",
            "mean over its generation draws",
        ):
            assert part in text


@pytest.mark.slow
def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(model)) for model in ("vanilla", "dcgan28")]
    first, second = write_files(runs, tmp_path / "a"), write_files(runs[::-1], tmp_path / "b")
    for one in sorted(path for path in first.folder.rglob("*") if path.is_file()):
        other = second.folder / one.relative_to(first.folder)
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.usefixtures("stub_plots")
def test_text_of_a_run_is_escaped(tmp_path: Path) -> None:
    data = report_data([build(tmp_path, make_spec(), pictures=False, status="failed", reason=PAYLOAD)])
    html, markdown = render_html(data, []), render_markdown(data, [])
    assert "<script src" not in html
    assert "&lt;script" in html
    assert "<script" not in markdown
    assert "![x](" not in markdown.replace("\\", "\\ ")
    assert "\n# no heading" not in markdown
    row = next(line for line in markdown.splitlines() if "evil" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6, "a bar in the reason starts no new cell"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_formulas_are_escaped(start: str) -> None:
    frame = pd.DataFrame({"text": [f"{start}cmd|' /C calc'!A0"], "number": [-1.5]})
    back = pd.read_csv(io.BytesIO(csv_bytes(frame)))
    assert back["text"].iloc[0].startswith("'")
    assert back["number"].iloc[0] == -1.5


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_csv_never_starts_a_text_cell_with_a_formula_sign(text: str) -> None:
    body = csv_bytes(pd.DataFrame({"text": [text]})).decode().partition("\n")[2]
    assert not body.lstrip('"').startswith(("=", "+", "-", "@"))


@pytest.mark.usefixtures("stub_plots")
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = build(tmp_path, make_spec(), pictures=False), tmp_path / "report"
    out.mkdir()
    (out / "runs.csv").write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="no space left on device; free some space"):
        write_files([run], out)
    assert (out / "runs.csv").read_bytes() == b"old"
    assert sorted(path.name for path in out.iterdir()) == ["plots", "runs.csv"]


@pytest.mark.usefixtures("stub_plots")
def test_a_folder_that_cannot_be_created_is_a_run_error(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec(), pictures=False)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="could not write"):
        write_files([run], tmp_path / "file" / "report")


def test_a_link_out_of_the_results_is_refused(tmp_path: Path) -> None:
    run, out = build(tmp_path / "results", make_spec(), pictures=False), tmp_path / "results" / "report"
    for folder in (tmp_path / "outside", out.parent):
        folder.mkdir()
    out.symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="link that leads out of the results folder"):
        write_files([run], out)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.usefixtures("stub_plots")
def test_stale_plots_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "score_by_rate.png").write_bytes(b"old")
    (tmp_path / "plots" / "mine.png").write_bytes(b"mine")
    write_files([build(tmp_path, make_spec(), pictures=False)], tmp_path)
    assert not (tmp_path / "plots" / "score_by_rate.png").exists()
    assert (tmp_path / "plots" / "mine.png").exists()


def test_report_without_runs_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_files([], tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("stub_plots")
def test_the_warning_of_short_training_is_above_the_findings(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(seed=seed), pictures=False, verdict="undertrained") for seed in (0, 1)]
    data = report_data(runs)
    html = render_html(data, [])
    assert warning(data).startswith("Training was short")
    assert html.index("Training was short") < html.index('class="verdict"')


def test_one_seed_gives_no_claim(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, seeds=(0,), lrs=(2e-4,), pictures=False))
    assert conclusions(data, data.protocols[0])[0].endswith("no claim.")
    assert any(line.startswith("One seed: no interval, no claim") for line in limitations(data))


def test_unequal_training_length_is_a_limitation(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec("vanilla"), pictures=False)]
    runs.append(build(tmp_path, make_spec("dcgan28", epochs=3), pictures=False))
    assert any("training length" in line for line in limitations(report_data(runs)))


@pytest.mark.slow
def test_a_report_of_a_thousand_runs_takes_less_than_20_seconds(tmp_path: Path) -> None:
    runs = build_many(tmp_path, seeds=range(100), lrs=[1e-4 * k for k in range(1, 6)], pictures=False)
    started = time.process_time()
    write_files(runs, tmp_path / "report")
    assert len(runs) == 1000
    assert time.process_time() - started < 20


def test_the_report_loads_neither_torch_nor_other_packages() -> None:
    code = (
        "import sys, gan_bench.report.write_report, gan_bench.report.compare;"
        "from gan_bench.report.plots.base import plots; plots.names();"
        "heavy = [m for m in sys.modules if m.split('.')[0] in ('torch', 'torchvision', 'ray')];"
        "packages = {m.split('.')[1] for m in sys.modules if m.startswith('gan_bench.')};"
        "print(heavy, sorted(packages - {'core', 'report', '_version'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[] []"


def test_records_are_not_modified(shared_runs: list[StoredRun]) -> None:
    before = [run.record for run in shared_runs]
    report_data(shared_runs)
    assert [run.record for run in shared_runs] == before
