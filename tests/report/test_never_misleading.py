"""What a report must not say: winners without evidence, mixed data sets, two values of one number."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

from helpers.made_runs import build, build_many, make_spec

from gan_bench.report.limitations import limitations
from gan_bench.report.page.render import render_html, render_markdown
from gan_bench.report.report_data import report_data
from gan_bench.report.reproduce import commands
from gan_bench.report.write_report import write_files


def test_no_winner_where_every_run_is_undertrained(tmp_path: Path) -> None:
    runs = [
        build(tmp_path, make_spec(model, seed=seed), pictures=False, verdict="undertrained")
        for model in ("dcgan28", "vanilla")
        for seed in range(5)
    ]
    data = report_data(runs)
    assert set(data.leaderboard["versus_best"]) == {"best", "undertrained"}
    page = render_markdown(data, [])
    assert "No winner" in page
    assert not re.search(r"(dcgan28|vanilla) (is|beats|wins)[^.]*(better|beats)", page)


def test_two_data_sets_have_tables_costs_and_facts_of_their_own(tmp_path: Path) -> None:
    runs = [
        build(tmp_path, make_spec("dcgan28", seed=seed, dataset=name), pictures=False)
        for name in ("mnist", "fashion-mnist")
        for seed in range(3)
    ]
    data = report_data(runs)
    parts = data.by_dataset()
    assert [set(part.runs["dataset"]) for part in parts] == [{name} for name in data.datasets]
    assert all(set(part.costs["dataset"]) == {name} for part, name in zip(parts, data.datasets, strict=True))
    html = render_html(data, [])
    for name in ("mnist", "fashion-mnist"):
        assert name in html


def test_reproduce_commands_sort_rates_as_numbers(tmp_path: Path) -> None:
    runs = build_many(tmp_path, ["dcgan28"], lrs=(1e-4, 2e-4, 4e-4, 5e-5), seeds=(0,), pictures=False)
    (command,) = [text for text in commands(runs) if text.startswith("gan-bench run")]
    assert "--lrs 5e-5,1e-4,2e-4,4e-4" in command


def test_leaderboard_rows_are_the_computed_ones(tmp_path: Path) -> None:
    """Ids and labels are texts, whatever a reader of CSV would make of them."""
    runs = build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False)
    (row,) = write_files(runs, tmp_path / "report").leaderboard
    assert re.fullmatch("p[0-9a-f]{8}", row["protocol_id"])
    assert row["rate"] == "2e-4"
    json.dumps(row)


def test_every_protocol_names_the_extractor_of_its_fid(tmp_path: Path) -> None:
    page = render_markdown(report_data(build_many(tmp_path, ["dcgan28", "vanilla"], pictures=False)), [])
    for match in re.finditer(r"\bFID\b(?! \()", page):
        assert "FID (" in page[match.start() - 40 : match.end() + 40], page[match.start() - 60 : match.end() + 60]


def test_training_images_that_epochs_leave_out_are_a_limitation(tmp_path: Path) -> None:
    run = build(tmp_path, make_spec("dcgan28", dataset="digits"), pictures=False)
    spec = run.spec.model_copy(update={"batch_size": 700})
    for images, share, said in ((1297, 597 / 1297, True), (1401, 1 / 1401, False)):
        changed = replace(run, spec=spec, environment={**run.environment, "train_images": images})
        data = report_data([changed])
        assert data.runs["dropped_share"].iloc[0] == share
        assert ("digits with batches of 700 (46%)" in " ".join(limitations(data))) == said
    for value in (0, -1, "many", 10**400, None):
        changed = replace(run, environment={"train_images": value})
        assert math.isnan(report_data([changed]).runs["dropped_share"].iloc[0])
