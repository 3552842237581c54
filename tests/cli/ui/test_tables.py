"""Tables on stdout, and the text that ends `gan-bench run` and `report`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from gan_bench.cli.ui import tables


def test_brackets_in_sentences_are_not_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A score's title may come from any folder; an unmatched closing tag would raise an exception."""
    sentence = "a is better than b by [/x], [bold]as[/bold] they say"
    monkeypatch.setattr(
        "gan_bench.report.report_data.report_data", lambda runs: SimpleNamespace(protocols=["one"])
    )
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
