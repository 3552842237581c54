"""A disk that is really full, and one that is read-only: a clear line, an exit code, and no harm to other runs.

Where no disk can be mounted, `test_refused_calls` and the limits in `test_failures` check a part of this.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import full_disk
from helpers.victims import environment

NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def can_mount(folder: Path) -> bool:
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return False
    arguments = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return subprocess.run(arguments, capture_output=True, timeout=30).returncode == 0


@pytest.mark.slow
def test_a_full_and_a_read_only_disk_cost_one_run_and_a_clear_line(tmp_path: Path, cache: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, full_disk.__file__, str(tmp_path)],
        env={**environment(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, dict[str, Any]] = {
        each["name"]: each for each in map(json.loads, done.stdout.splitlines())
    }
    codes = {name: each["code"] for name, each in outcomes.items() if "code" in each}
    assert codes == {
        "first": 0,
        "full": 1,
        "report on a full disk": 0,
        "larger": 0,
        "read-only": 1,
        "status of read-only": 0,
        "report of read-only": 1,
    }, outcomes
    assert not any(each.get("crashed") or "Traceback" in each.get("error", "") for each in outcomes.values())
    assert "no space left on device; free some space" in outcomes["full"]["error"]
    assert "is not writable; choose another folder" in outcomes["read-only"]["error"]
    for name in ("after full", "after read-only"):
        assert outcomes[name]["intact"]
        assert outcomes[name]["leftovers"] == []
