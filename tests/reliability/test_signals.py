"""Signals: a checkpoint, leases given back, the right exit code, nobody orphaned; a second Ctrl-C ends at once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from victims import alive, below, command, started, wait_until

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="POSIX signals"), pytest.mark.slow]
LONG = ("--models", "vanilla", "--epochs", "100000", "--metrics", "is", "--seeds", "0-1")


def _begun(out: Path, runs: int) -> bool:
    return len(list(out.glob("runs/*/epochs.csv"))) >= runs


@pytest.mark.parametrize(
    ("sent", "jobs", "code"),
    [
        (signal.SIGINT, 1, 130),
        (signal.SIGUSR1, 1, 143),
        (signal.SIGINT, 2, 130),
        (signal.SIGTERM, 2, 143),
    ],
)
def test_a_signal_leaves_a_checkpoint_and_nobody(
    tmp_path: Path, cache: Path, sent: signal.Signals, jobs: int, code: int
) -> None:
    out = tmp_path / "out"
    with started(cache, command(out, *LONG, "--jobs", str(jobs), "--checkpoint-every", "1h")) as process:
        wait_until(lambda: _begun(out, jobs), 90)
        workers = below(process)
        since = time.monotonic()
        os.killpg(process.pid, sent)
        _, err = process.communicate(timeout=40)
        assert time.monotonic() - since < 30
        assert process.returncode == code, err
        assert "the same command continues" in err
        assert "Traceback" not in err
    wait_until(lambda: not alive(workers), 5)
    assert not list(out.glob("runs/*/.lease*"))
    for folder in out.glob("runs/*"):
        if (folder / "epochs.csv").exists():
            told = len((folder / "epochs.csv").read_text().splitlines()) - 1
            state = json.loads((folder / "checkpoint.json").read_text())["state"]
            assert state["step"] >= told * 16, "what was trained is lost"
            assert not (folder / "record.json").exists()


def test_a_second_interrupt_ends_at_once_and_harms_nothing(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    plugin = tmp_path / "stuck.py"
    plugin.write_text(
        "import time\nfrom gan_bench.losses.bce import BCE\nfrom gan_bench.losses.loss import losses\n"
        "@losses.register('stuck')\nclass Stuck(BCE):\n    calls = 0\n"
        "    def generator(self, logits):\n        Stuck.calls += 1\n"
        "        if Stuck.calls > 50:\n            time.sleep(600)\n        return super().generator(logits)\n"
    )
    with started(cache, command(out, *LONG, "--losses", "stuck", "--plugin", str(plugin))) as process:
        wait_until(lambda: _begun(out, 1), 90)
        time.sleep(2)  # now it is stuck in a step, and can't stop between two
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        since = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert time.monotonic() - since < 5
        assert process.returncode == 130
