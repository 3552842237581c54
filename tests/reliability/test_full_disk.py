"""A real disk that is full, and one that is read-only: a clear word, an exit code, and nothing else harmed.

Where no disk can be mounted, `test_refused_calls` and the limits in `test_failures` are what is left of this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import full_disk
import pytest
from victims import environment

NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def can_mount(place: Path) -> bool:
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return False
    asked = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(place)]
    return subprocess.run(asked, capture_output=True, timeout=30).returncode == 0


@pytest.mark.slow
def test_a_full_and_a_read_only_disk_cost_one_run_and_a_clear_line(tmp_path: Path, cache: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no disk can be mounted here; see above for what is tried instead")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, full_disk.__file__, str(tmp_path)],
        env={**environment(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, Any]] = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
    codes = {name: each["code"] for name, each in told.items() if "code" in each}
    assert codes == {
        "first": 0,
        "full": 1,
        "report on a full disk": 0,
        "larger": 0,
        "read-only": 1,
        "status of read-only": 0,
        "report of read-only": 1,
    }, told
    assert not any(each.get("crashed") or "Traceback" in each.get("error", "") for each in told.values())
    assert "no space left on device; free some space" in told["full"]["error"]
    assert "can't be written to; choose another folder" in told["read-only"]["error"]
    for name in ("after full", "after read-only"):
        assert told[name]["intact"]
        assert told[name]["beside"] == []
