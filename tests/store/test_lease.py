from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_bench.errors import RunError
from gan_bench.spec import RunSpec
from gan_bench.store import lease
from gan_bench.store.store import Store

HOLDER = """
import sys
from pathlib import Path
from gan_bench.store import lease
lease.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_is_trained_by_one_process_until_that_ends_however_it_ends(store: Store, spec: RunSpec) -> None:
    folder = (store.root / "runs" / spec.run_id).resolve()
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert store.is_running(spec)
        for attempt in (store.begin, lambda spec, _: store.resume(spec), lambda spec, _: store.forget(spec)):
            with pytest.raises(RunError, match="another process is training this run"):
                attempt(spec, {})
        other.kill()
    assert not store.is_running(spec)
    assert store.begin(spec, {}) == 1
    assert store.is_running(spec)


def test_a_finished_run_is_not_running(store: Store, spec: RunSpec, make_record: object) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))  # type: ignore[operator]
    assert not store.is_running(spec)


def test_one_process_holds_a_lease_once(tmp_path: Path) -> None:
    lease.take(tmp_path)
    lease.take(tmp_path)
    lease.give_back(tmp_path)
    assert not lease.is_held(tmp_path)
    lease.give_back(tmp_path)
