"""Ctrl-C where it ends, or has ended, whoever read the command: a checkpoint and 130 all the same."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest
from victims import command, environment, wait_until

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="POSIX signals"), pytest.mark.slow]
LONG = ("--models", "vanilla", "--epochs", "100000", "--metrics", "is", "--checkpoint-every", "1h")


def read(mine: int) -> bool:
    """Read what there is: a terminal that nobody reads holds up who writes."""
    while select.select([mine], [], [], 0)[0]:
        os.read(mine, 65536)
    return True


@pytest.mark.parametrize(("reader", "jobs"), [("pipe", "1"), ("terminal", "2")])
def test_an_interrupt_that_nobody_can_be_told_of_leaves_a_checkpoint(
    tmp_path: Path, cache: Path, reader: str, jobs: str
) -> None:
    """As `gan-bench run 2>&1 | tee log`, of which Ctrl-C ends both; and in a terminal that was closed."""
    out = tmp_path / "out"
    mine, theirs = os.pipe() if reader == "pipe" else pty.openpty()
    buffered = {key: value for key, value in environment(cache).items() if key != "PYTHONUNBUFFERED"}
    asked = command(out, *LONG, "--seeds", "0-1", "--jobs", jobs)
    process = subprocess.Popen(asked, env=buffered, stdout=theirs, stderr=theirs, start_new_session=True)
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
    begun = [folder for folder in out.glob("runs/*") if (folder / "epochs.csv").exists()]
    assert len(begun) == int(jobs)
    for folder in begun:
        assert not (folder / "record.json").exists(), "an interrupt is no failure of the run's"
        told = len((folder / "epochs.csv").read_text().splitlines()) - 1
        state = json.loads((folder / "checkpoint.json").read_text())["state"]
        assert state["step"] >= told * 16, "what was trained is lost"
