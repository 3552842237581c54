"""Tables on stdout, and the text that ends `gan-bench run` and `report`."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.made_runs import build, build_many, make_spec, realistic
from rich.console import Console

from gan_bench.cli.ui import tables
from gan_bench.core.records import StoredRun


def test_brackets_in_sentences_are_not_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A score's title may come from any folder; an unmatched closing tag would raise an exception."""
    sentence = "a is better than b by [/x], [bold]as[/bold] they say"
    data = SimpleNamespace(protocols=["one"], datasets=["digits"], by_dataset=lambda: [data])
    monkeypatch.setattr("gan_bench.report.report_data.report_data", lambda runs: data)
    monkeypatch.setattr(tables, "leaderboard_rows", lambda data, protocol: [])
    monkeypatch.setattr("gan_bench.report.findings.warning", lambda data: "")
    monkeypatch.setattr("gan_bench.report.findings.conclusions", lambda data, protocol: [sentence])
    monkeypatch.setattr(tables, "print_rows", lambda *given, **options: None)
    tables.print_runs([], Path("index.html"))
    assert sentence in capsys.readouterr().out


def test_a_narrow_terminal_gets_fewer_columns_and_whole_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"model": "dcgan28-tf", "px": 28, "lr": "4e-4:1e-4", "status": "done", "verdict": "undertrained"}
    row |= {"FID": 126.91, "IS": 6.017, "precision": 0.5439, "recall": 0.5168, "classes": 10, "s/epoch": 85.48}
    for columns in (80, 200):
        monkeypatch.setattr(tables, "console", lambda columns=columns: Console(width=columns))
        tables.print_rows([row], as_json=False, optional=tables.OPTIONAL_COLUMNS)
    text = capsys.readouterr().out.splitlines()
    shown = [line.split() for line in text if "dcgan28-tf" in line]
    assert shown[0][:5] == ["dcgan28-tf", "4e-4:1e-4", "done", "undertrained", "126.9"]
    assert len(shown[1]) == len(row)


def test_optional_columns_are_columns_of_the_table_of_runs() -> None:
    assert set(tables.OPTIONAL_COLUMNS) <= {"px", "s/epoch", *tables.SCORE_COLUMNS}


def test_json_lines_hold_paths_as_text_and_null_for_numbers_that_are_not_finite(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_json({"path": Path("a/b"), "values": (math.inf, 1.5), "nested": {"nan": math.nan}})
    assert json.loads(capsys.readouterr().out) == {"path": "a/b", "values": [None, 1.5], "nested": {"nan": None}}


def shown(runs: list[StoredRun], width: int, monkeypatch: pytest.MonkeyPatch, **options: bool) -> str:
    screen = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(tables, "console", lambda: screen)
    tables.print_runs(runs, Path("index.html"), **options)
    return screen.export_text()


def test_the_leaderboard_has_a_row_for_each_model_and_fits_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(realistic(tmp_path), 80, monkeypatch)
    assert re.findall(r"^ (dcgan28|vanilla)  +.* to ", text, re.MULTILINE) == ["dcgan28", "vanilla"]
    (heading,) = [line for line in text.splitlines() if "FID (mnist-cnn), mean" in line]
    assert "95% interval" in heading
    assert "precision" not in heading
    assert max(map(len, text.splitlines())) <= 80
    assert "precision" in shown(realistic(tmp_path), 200, monkeypatch)
    assert re.search(r"\d to \d", text), "the interval is broken in two"
    runs = shown(realistic(tmp_path), 200, monkeypatch, all_runs=True).splitlines()
    assert sum(line.split()[:2] in (["dcgan28", "28"], ["vanilla", "28"]) for line in runs) == 14


def test_each_data_set_has_a_leaderboard_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = build_many(tmp_path, pictures=False) + build_many(tmp_path, pictures=False, dataset="kmnist")
    text = shown(runs, 120, monkeypatch)
    assert text.count("FID (mnist-cnn), mean") == 2
    assert re.findall(r"^(mnist|kmnist) *$", text, re.MULTILINE) == ["mnist", "kmnist"]


def test_runs_that_are_not_ok_are_listed_with_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = realistic(tmp_path)
    copied = build(
        tmp_path, make_spec("vanilla", 9), pictures=False, verdict="memorised", verdict_reason="90% copies"
    )
    text = shown([*runs, copied], 200, monkeypatch)
    assert f"memorised: {copied.record.run_id}: 90% copies" in text
    assert "d_loss became nan at step 3283" in text
    assert "failed: " in text
    assert "failed: " not in shown([*runs, copied], 200, monkeypatch, failures=False)
    many = [
        build(tmp_path, make_spec("vanilla", seed), pictures=False, verdict="undertrained")
        for seed in range(20, 35)
    ]
    assert "5 more: see the page, or type --runs" in shown(many, 200, monkeypatch)
