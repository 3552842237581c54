"""gan-bench status: why runs failed, in lines that a terminal only shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_words import Typed, json_lines
from toy_run import toy_spec, train

from gan_bench.cli.run import _conclude
from gan_bench.store.store import Store

REASON = "RuntimeError: CUDA error: an illegal \x1b]0;x\x07access\nFor debugging, pass this (step.py:7)"
ONE_LINE = "RuntimeError: CUDA error: an illegal  ]0;x access For debugging, pass this (step.py:7)"
LOG = "".join(f"line {number}\n\n" for number in range(50)) + "\x1b[2Jthe last words\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """One run that is done, one that failed with much to say, one that failed without a word."""
    store = Store.open(tmp_path / "out", create=True)
    train(store, toy_spec(0))
    store.failed_with(toy_spec(1), REASON, LOG)
    store.failed_with(toy_spec(2), "its process is gone")
    return store.root


def test_a_failed_run_shows_its_reason_in_one_line_and_the_end_of_its_log(typed: Typed, out: Path) -> None:
    said = typed("status", out).stdout
    assert ONE_LINE in said
    lines = said.splitlines()
    start = lines.index(f"{toy_spec(1).run_id} failed; its log ends with:")
    assert lines[start + 1 : start + 8] == [
        *(f"    line {n}" for n in range(45, 50)),
        "     [2Jthe last words",
        "",
    ]
    assert said.count("its log ends with:") == 1
    assert lines[-1] == "1 done, 2 failed"


def test_programs_get_the_whole_of_it(typed: Typed, out: Path) -> None:
    done, failed, silent = json_lines(typed("status", out, "--json").stdout)
    assert (failed["reason"], failed["log_tail"]) == (REASON, LOG)
    assert done["log_tail"] == silent["log_tail"] == ""


def test_the_command_that_made_it_says_the_reason_in_one_line(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _conclude(Store.open(out, create=False).runs(), out, as_json=True)
    assert capsys.readouterr().err.splitlines() == [
        f"failed: {toy_spec(1).run_id}: {ONE_LINE}",
        f"failed: {toy_spec(2).run_id}: its process is gone",
    ]
