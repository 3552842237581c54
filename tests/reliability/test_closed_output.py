"""Ctrl-C where the reader of the output has gone: a checkpoint and exit code 130 all the same."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.victims import command, environment, wait_until

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="POSIX signals"), pytest.mark.slow]
LONG = ("--models", "vanilla", "--epochs", "100000", "--metrics", "is", "--checkpoint-every", "1h")


def read(mine: int) -> bool:
    """Read what is available: a full terminal buffer blocks the writer."""
    while select.select([mine], [], [], 0)[0]:
        os.read(mine, 65536)
    return True


@pytest.mark.parametrize(("reader", "jobs"), [("pipe", "1"), ("terminal", "2")])
def test_an_interrupt_with_a_closed_output_leaves_a_checkpoint(
    tmp_path: Path, cache: Path, reader: str, jobs: str
) -> None:
    """As `gan-bench run 2>&1 | tee log`, where Ctrl-C ends both; and in a closed terminal."""
    out = tmp_path / "out"
    mine, theirs = os.pipe() if reader == "pipe" else pty.openpty()
    buffered = {key: value for key, value in environment(cache).items() if key != "PYTHONUNBUFFERED"}
    arguments = command(out, *LONG, "--seeds", "0-1", "--jobs", jobs)
    process = subprocess.Popen(arguments, env=buffered, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        wait_until(lambda: read(mine) and len(list(out.glob("runs/*/epochs.csv"))) >= int(jobs), 90)
        os.close(mine)
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 130
    finally:
        process.kill()
        process.wait()
    assert not list(out.glob("runs/*/.lease*"))
    started = [folder for folder in out.glob("runs/*") if (folder / "epochs.csv").exists()]
    assert len(started) == int(jobs)
    for folder in started:
        assert not (folder / "record.json").exists(), "an interrupt was recorded as an outcome"
        n_epochs = len((folder / "epochs.csv").read_text().splitlines()) - 1
        state = json.loads((folder / "checkpoint.json").read_text())["state"]
        assert state["step"] >= n_epochs * 16, "trained steps are lost"
