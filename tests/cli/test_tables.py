"""What ends `gan-bench run` and `report` on a terminal."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from gan_bench.cli import tables


def test_brackets_in_sentences_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A score's title may come out of anybody's folder; a closing tag of nothing would end in a traceback."""
    said = "a is better than b by [/x], [bold]as[/bold] they say"
    monkeypatch.setattr("gan_bench.report.data.report_data", lambda runs: SimpleNamespace(protocols=["one"]))
    monkeypatch.setattr("gan_bench.report.story.warning", lambda data: "")
    monkeypatch.setattr("gan_bench.report.story.conclusions", lambda data, protocol: [said])
    monkeypatch.setattr(tables, "print_rows", lambda *given, **options: None)
    tables.print_runs([], Path("index.html"))
    assert said in capsys.readouterr().out
