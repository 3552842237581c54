"""The page's parts: names, colors, grids within a budget, charts and tables."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from helpers.made_runs import build, build_many, make_epochs, make_spec
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.records import StoredRun
from gan_bench.report.page import chart_parts, grids, render
from gan_bench.report.page.embed import json_block, static_svg
from gan_bench.report.page.first_screen import tradeoffs
from gan_bench.report.page.leaderboard_table import leaderboard
from gan_bench.report.page.loss_charts import BALANCE, losses
from gan_bench.report.page.models import DARK, LIGHT, page_models, short_names
from gan_bench.report.page.pairs_table import pairs
from gan_bench.report.page.render import render_html
from gan_bench.report.page.score_charts import quality, score_axis
from gan_bench.report.plotting import RenderedPlot
from gan_bench.report.report_data import ReportData, report_data

GROUNDS = {"light": ("#ffffff", LIGHT, "#868e99"), "dark": ("#14181e", DARK, "#7d8794")}


def data_of(folder: Path, models: tuple[str, ...] = ("vanilla", "dcgan28"), seeds: int = 4) -> ReportData:
    return report_data(build_many(folder, models, range(seeds), (2e-4,), pictures=False))


def luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", GROUNDS)
def test_colors_have_a_contrast_of_three_on_their_ground(scheme: str) -> None:
    ground, colors, grey = GROUNDS[scheme]
    assert len(colors) == 8
    for color in (*colors, grey):
        low, high = sorted((luminance(ground), luminance(color)))
        assert (high + 0.05) / (low + 0.05) >= 3, color


def test_style_uses_the_tested_grounds() -> None:
    style = (Path(render.__file__).parent / "templates" / "style.css").read_text()
    assert re.findall(r"--paper: (#\w+)", style) == [ground for ground, _, _ in GROUNDS.values()]
    assert re.findall(r"--grey: (#\w+)", style) == [grey for _, _, grey in GROUNDS.values()]


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=12, unique=True))
def test_short_names_are_distinct_where_settings_differ(settings: list[str]) -> None:
    labels = [f"a-model/loss ({text}=1, width=2, depth=3)" for text in settings]
    names = short_names(labels)
    assert len(set(names.values())) == len(labels)
    assert max(map(len, names.values())) <= 30


def test_short_labels_are_their_own_names() -> None:
    assert short_names(["dcgan28", "dcgan28/hinge"]) == {"dcgan28": "dcgan28", "dcgan28/hinge": "dcgan28/hinge"}


@given(st.text())
def test_no_text_ends_the_data_block(text: str) -> None:
    block = str(json_block({text: [text, math.nan]}))
    assert not set("<>&\u2028\u2029") & set(block)
    assert block.isprintable() or "\n" in text
    ((_, (_, missing)),) = json.loads(block).items()
    assert missing is None


def test_grids_stay_within_their_budget_and_keep_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "BUDGET", 60_000)
    found = grids.page_grids(report_data([build(tmp_path, make_spec(seed=seed)) for seed in range(4)]))
    size = sum(len(uri) for run in found.runs.values() for uri in run.frames.values())
    assert size < 66_000
    assert [run.last for run in found.runs.values()] == [25] * 4


def test_an_unreadable_grid_is_left_out(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec())
    (run.folder / "samples" / "epoch_0025.png").write_bytes(b"damaged")
    found = grids.page_grids(report_data([run])).runs[run.record.run_id]
    assert found.last == 20


def test_the_axis_is_scaled_to_the_models_and_notes_far_real_images(tmp_path: Path) -> None:
    data = report_data(build_many(tmp_path, ("dcgan28", "dcgan28-tf"), range(3), (2e-4,), pictures=False))
    chart = score_axis(data, data.protocols[0], page_models(data), "c")
    assert chart is not None
    assert chart.spec["title"]["text"] == "◂ real images score 0.400, off this axis"
    points = next(layer for layer in chart.spec["layer"] if layer["mark"]["type"] == "point")
    low, high = points["encoding"]["x"]["scale"]["domain"]
    values = data.reported()["value"]
    assert 0 < low < values.min()
    assert values.max() < high < 2 * values.max()


def test_a_chart_of_many_trainings_draws_some_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_parts, "MAX_POINTS", 4)
    data = report_data(build_many(tmp_path, ("dcgan28", "dcgan28-tf"), range(3), (2e-4,), pictures=False))
    chart = score_axis(data, data.protocols[0], page_models(data), "chart")
    assert chart is not None
    assert chart.description.endswith(" 4 of 6 trainings are drawn.")
    assert max(len(rows) for rows in chart.spec["datasets"].values()) == 4


def test_charts_are_static_without_style_attributes(tmp_path: Path) -> None:
    data = data_of(tmp_path)
    models = page_models(data)
    chart = quality(data, data.protocols[0], models, "c")
    assert chart is not None
    svg = static_svg(chart.spec, 600)
    assert svg.startswith('<svg aria-hidden="true"')
    assert " style=" not in svg
    assert "var(--m0)" in svg
    assert static_svg(chart.spec, 600) == svg


def test_lost_trainings_are_named_on_the_axis(tmp_path: Path) -> None:
    runs = build_many(tmp_path, seeds=range(3), lrs=(2e-4,), pictures=False)
    runs.append(build(tmp_path, make_spec("vanilla", 7), pictures=False, status="diverged", reason="nan"))
    data = report_data(runs)
    chart = score_axis(data, data.protocols[0], page_models(data), "c")
    assert chart is not None
    assert "✕ 1 diverged of 4" in json.dumps(chart.spec, ensure_ascii=False)


def with_loss(run: StoredRun, g_loss: float) -> StoredRun:
    epochs = [epoch.model_copy(update={"g_loss": g_loss}) if epoch.epoch == 25 else epoch for epoch in run.epochs]
    return StoredRun(run.spec, run.record, epochs, run.scores, run.environment, run.folder)


def test_losses_name_the_balance_and_clip_outliers(tmp_path: Path) -> None:
    runs = build_many(tmp_path, seeds=range(3), lrs=(2e-4,), pictures=False)
    data = report_data([with_loss(runs[0], 4e14), *runs[1:]])
    found = {chart.name: chart for chart in losses(data, page_models(data), "c")}
    assert found["c-d_loss"].spec["title"]["text"] == "Discriminator loss (dashed: balance, 1.39)"
    assert "0.500" in found["c-d_real_accuracy"].spec["title"]["text"]
    low, high = found["c-g_loss"].spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert -10 < low < high < 20
    assert "▲" in json.dumps(found["c-g_loss"].spec, ensure_ascii=False)


def test_losses_at_balance_are_those_of_the_losses() -> None:
    torch = pytest.importorskip("torch")
    from gan_bench.losses.base import losses as registry

    for name, expected in BALANCE.items():
        loss = registry.get(name)()
        logits = torch.full((1, 8), loss.decision_boundary)
        found = float(loss.discriminator(logits, logits)), float(loss.generator(logits, logits))
        assert found == pytest.approx(expected, abs=1e-6), name


def test_no_balance_where_losses_differ(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(loss=name), pictures=False) for name in ("bce", "hinge")]
    data = report_data(runs)
    chart = losses(data, page_models(data), "c")[0]
    assert "balance" not in chart.spec["title"]["text"]


def test_pairs_agree_with_the_leaderboard(tmp_path: Path) -> None:
    data = data_of(tmp_path, ("vanilla", "dcgan28", "tiny-gan"), seeds=6)
    key = data.protocols[0]
    table = pairs(data, key, page_models(data))
    assert table is not None
    board = data.board(key).reset_index(drop=True)
    kinds = [[cell.kind for cell in row[1:]] for row in table.rows]
    assert kinds == [["same", "better", "better"], ["worse", "same", "better"], ["worse", "worse", "same"]]
    assert float(table.rows[0][2].text) == pytest.approx(board["probability_of_improvement"][1])


def test_pairs_of_too_few_seeds_make_no_claim(tmp_path: Path) -> None:
    data = data_of(tmp_path, seeds=2)
    table = pairs(data, data.protocols[0], page_models(data))
    assert table is not None
    assert table.rows[0][2].note == "too few seeds (2 each; 4 needed)"
    assert table.rows[0][2].kind == ""


def test_bold_is_best_and_clearly_better_than_the_second(tmp_path: Path) -> None:
    sure, unsure = data_of(tmp_path / "a", seeds=6), data_of(tmp_path / "b", seeds=2)
    for data, expected in ((sure, True), (unsure, False)):
        table = leaderboard(data, data.protocols[0], page_models(data))
        assert table.rows[0][2].strong is expected


def test_data_sets_and_protocols_have_sections_of_their_own(tmp_path: Path) -> None:
    runs = [
        build(
            tmp_path, make_spec(model, seed, dataset=name), pictures=False, extractors=("mnist-cnn", "inception")
        )
        for name in ("mnist", "fashion-mnist")
        for model in ("vanilla", "dcgan28")
        for seed in range(3)
    ]
    data = report_data(runs)
    html = render_html(data, [])
    block = json.loads(re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)[0])
    assert set(block["scores"]) == {"s1", "s2", "s3", "s4"}
    for number, (part, key) in enumerate(((p, k) for p in data.by_dataset() for k in p.protocols), start=1):
        own = set(part.runs["run_id"])
        assert set(block["scores"][f"s{number}"]) <= own
        board = part.board(key)
        values = {float(f"{value:.5g}") for value in part.reported().query("protocol_id == @key")["value"]}
        spec = block["charts"][f"s{number}-chart-scores"]["spec"]
        drawn = {row["value"] for rows in spec["datasets"].values() for row in rows if "seed" in row}
        assert drawn == values
        assert len(board) == 2


def test_a_page_of_one_epoch_and_one_run_is_complete(tmp_path: Path) -> None:
    spec = make_spec(epochs=1)
    run = build(tmp_path, spec, pictures=False, epochs_list=make_epochs(spec, 1), scores=[])
    html = render_html(report_data([run]), [])
    assert "Nothing was scored" in html
    assert 'id="reproduce"' in html


def test_tradeoffs_are_the_models_that_no_other_beats_in_score_and_time(tmp_path: Path) -> None:
    data = data_of(tmp_path, ("vanilla", "dcgan28", "wide", "tiny-gan"))
    (sentence,) = tradeoffs(data, data.board(data.protocols[0]))
    assert re.findall(r"([\w-]+) \([\d.]+ in", sentence) == ["dcgan28", "vanilla", "tiny-gan"]


def test_times_under_unlike_conditions_are_no_tradeoff(tmp_path: Path) -> None:
    runs = [
        build(tmp_path, make_spec(model), pictures=False, threads=threads)
        for model, threads in (("vanilla", 1), ("dcgan28", 2), ("wide", 2))
    ]
    data = report_data(runs)
    assert tradeoffs(data, data.board(data.protocols[0])) == []


def test_short_names_are_listed_with_their_settings_as_columns(tmp_path: Path) -> None:
    settings = [
        {"width": width, "beta1": 0.5, "note": f"so long that no label holds {width}"} for width in (0.5, 2.0)
    ]
    runs = [build(tmp_path, make_spec(settings=own), pictures=False) for own in settings]
    html = render_html(report_data([*runs, build(tmp_path, make_spec("vanilla"), pictures=False)]), [])
    table = html[html.index("Short names and their settings") :].partition("</table>")[0]
    assert re.findall(r"<th[^>]*>([^<]*)</th>", table) == ["name", "model", "loss", "penalty", "width", "note"]
    assert re.findall(r"<td[^>]*>(dcgan28 [AB])</td>", table) == ["dcgan28 A", "dcgan28 B"]


def test_plots_of_plugins_are_shown_and_the_own_ones_are_not(tmp_path: Path) -> None:
    plots = [RenderedPlot(name, name, "A caption.", 300, b"png", b"svg") for name in ("losses", "mine--mnist")]
    html = render_html(data_of(tmp_path), plots)
    assert re.findall(r'<figure><img alt="([^"]*)"', html) == ["mine--mnist"]
