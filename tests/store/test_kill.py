"""A real process is killed at every write that it makes; the store must go on from what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_bench.spec import RunSpec
from gan_bench.store.store import Store

VICTIM = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
from gan_bench.record import Checkpoint, EpochRecord, RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store.store import Store

spec, NEVER, dies_at = RunSpec.model_validate_json(sys.argv[2]), 0, 0

def train(store):
    found = store.resume(spec)
    store.begin(spec, {})
    for epoch in range(found.state["epoch"] + 1 if found else 1, 4):
        store.add_epoch(spec, EpochRecord(epoch=epoch, step=epoch, d_loss=epoch, g_loss=0, d_real_accuracy=0,
                                          d_fake_accuracy=0, epoch_seconds=0, images_per_second=0))
        store.add_grid(spec, epoch, np.zeros((4, 4), np.uint8))
        store.checkpoint(spec, Checkpoint({"w": np.full(9, epoch)}, {"epoch": epoch, "step": epoch}))
    store.finish(spec, RunRecord(run_id=spec.run_id, status="done"))

replace, count = Path.replace, 0
def dying(self, target):
    global count
    count += 1
    if count == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = dying
os.fsync = lambda descriptor: None  # a kill, other than a power cut, loses nothing that was written
for deaths in json.loads(sys.argv[3]):
    root = Path(sys.argv[1]) / "-".join(map(str, deaths))
    Store.open(root, create=True)
    for dies_at in [*deaths, NEVER]:
        count = 0
        if os.fork() == 0:
            train(Store(root, notify=lambda line: print(line, flush=True)))
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.wait()[1])
        assert ended == (0 if dies_at == NEVER else -9), f"{root.name}: death {dies_at} ended with {ended}"
"""
WRITES = 26
DEATHS = [[n] for n in range(1, WRITES + 1)] + [[9, 8, 7, 3], [12, 4, 4, 5, 6]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
def test_killed_at_any_write_a_run_goes_on(tmp_path: Path, spec: RunSpec) -> None:
    arguments = [str(tmp_path), spec.model_dump_json(), json.dumps(DEATHS)]
    done = subprocess.run([sys.executable, "-c", VICTIM, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "a kill alone damages nothing"
    for deaths in DEATHS:
        store = Store.open(tmp_path / "-".join(map(str, deaths)), create=False, notify=pytest.fail)
        (run,) = store.runs()
        assert [(epoch.epoch, epoch.d_loss) for epoch in run.epochs] == [(1, 1.0), (2, 2.0), (3, 3.0)]
        assert run.environment["attempt"] in (len(deaths), len(deaths) + 1)  # the first write makes the spec
        weights = store.weights(spec)
        assert weights is not None
        assert weights.state["step"] == weights.arrays["w"][0] == 3
        left = [path.name for path in run.folder.rglob("*")]
        assert not [name for name in left if ".tmp" in name or ".previous" in name or ".new" in name]
