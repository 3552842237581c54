"""gan-bench status: reasons and logs of failed runs, without control characters."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli_words import Invoke, json_lines
from helpers.toy_run import toy_spec, train

from gan_bench.cli.run import conclude
from gan_bench.store.store import Store

REASON = "RuntimeError: CUDA error: an illegal \x1b]0;x\x07access\nFor debugging, pass this (step.py:7)"
ONE_LINE = r"RuntimeError: CUDA error: an illegal \x1b]0;x\x07access For debugging, pass this (step.py:7)"
LOG = "".join(f"line {number}\n\n" for number in range(50)) + "\x1b[2Jthe end\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """One run that is done, one that failed with a long log, one that failed without a log."""
    store = Store.open(tmp_path / "out", create=True)
    train(store, toy_spec(0))
    store.record_failure(toy_spec(1), REASON, LOG)
    store.record_failure(toy_spec(2), "its process died")
    return store.root


def test_a_failed_run_shows_its_reason_in_one_line_and_the_end_of_its_log(invoke: Invoke, out: Path) -> None:
    text = invoke("status", out).stdout
    assert ONE_LINE in text
    lines = text.splitlines()
    start = lines.index(f"{toy_spec(1).run_id} failed; its log ends with:")
    assert lines[start + 1 : start + 8] == [
        *(f"    line {n}" for n in range(45, 50)),
        "    \\x1b[2Jthe end",
        "",
    ]
    assert text.count("its log ends with:") == 1
    assert lines[-1] == "1 done, 2 failed"


def test_json_has_the_whole_reason_and_log(invoke: Invoke, out: Path) -> None:
    done, failed, silent = json_lines(invoke("status", out, "--json").stdout)
    assert (failed["reason"], failed["log_tail"]) == (REASON, LOG)
    assert done["log_tail"] == silent["log_tail"] == ""


def test_a_failed_evaluation_is_reported_and_the_run_stays_done(invoke: Invoke, out: Path) -> None:
    store = Store.open(out, create=False)
    run = store.find(toy_spec(0).run_id)
    failed = {"reason": "", "evaluation_failure": REASON, "log_tail": "the traceback"}
    store.add_evaluation(run.spec, [], run.record.model_copy(update=failed))
    store.release(run.spec)
    lines = invoke("status", out).stdout.splitlines()
    assert lines[-1] == "1 done, 2 failed; the evaluation of 1 failed"
    row = json_lines(invoke("status", out, "--json").stdout)[0]
    assert (row["status"], row["reason"]) == ("done", f"evaluation failed: {REASON}")
    assert "    the traceback" in lines
    with pytest.raises(SystemExit):
        conclude([], [store.find(run.spec.run_id).record], out, as_json=True)


def test_unfinished_runs_are_running_or_pending_with_an_estimate(invoke: Invoke, out: Path) -> None:
    store = Store.open(out, create=False)
    train(store, toy_spec(3), finish=False)
    store.expect([toy_spec(4).model_copy(update={"model": "dcgan28"})])
    assert store.claim(toy_spec(5))
    store.begin(toy_spec(5), {})
    rows = json_lines(invoke("status", out, "--json").stdout)
    states = {row["run"].partition("-s")[2][0]: row["status"] for row in rows}
    assert states == {"0": "done", "1": "failed", "2": "failed", "3": "pending", "4": "pending", "5": "running"}
    lines = invoke("status", out).stdout.splitlines()
    store.release(toy_spec(5))
    assert lines[-2] == "1 done, 1 running, 2 failed, 2 pending"
    assert lines[-1].startswith("Remaining: about 0.0 minutes of one worker for 2 runs, and 1 without an estimate")


def test_run_prints_the_reason_of_a_failed_run_in_one_line(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        conclude([], [run.record for run in Store.open(out, create=False).runs()], out, as_json=True)
    assert capsys.readouterr().err.splitlines() == [
        f"failed: {toy_spec(1).run_id}: {ONE_LINE}",
        f"failed: {toy_spec(2).run_id}: its process died",
    ]
