"""Verification: every kind of damage is found, and repair removes leftovers only."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gan_bench.cli import main
from gan_bench.core.records import Checkpoint, RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import leases, verify
from gan_bench.store.store import Store

Train = Callable[[Store, TrainingSpec, int], None]


@pytest.fixture
def folder(
    store: Store,
    spec: TrainingSpec,
    trained: Train,
    make_record: Callable[..., RunRecord],
    make_checkpoint: Callable[..., Checkpoint],
) -> Path:
    trained(store, spec, 2)
    store.keep_best(spec, make_checkpoint(10))
    store.finish(spec, make_record(spec))
    store.release(spec)
    return store.root / "runs" / spec.run_id


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sound_folder_has_no_findings(store: Store, folder: Path) -> None:
    before = contents(store.root)
    assert verify.inspect(store.root) == []
    assert verify.repair(store.root, []) == []
    assert contents(store.root) == before


@pytest.mark.parametrize(
    "name",
    ["spec.json", "record.json", "epochs.csv", "scores.json", "checkpoint.safetensors", "best.json"],
)
def test_a_damaged_file_is_found_and_not_removed(store: Store, folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for damage in (b"", data[: len(data) // 3], data[:-2] + bytes([data[-2] ^ 0x55, data[-1]])):
        (folder / name).write_bytes(damage)
        before = contents(store.root)
        findings = verify.inspect(store.root)
        assert any(finding.damaged for finding in findings), (name, len(damage))
        verify.repair(store.root, findings)
        assert contents(store.root) == before


def test_a_valid_but_exchanged_file_is_found_by_its_checksum(store: Store, folder: Path) -> None:
    """A valid image of another epoch, and a file that is not part of the run: only checksums detect them."""
    grids = sorted((folder / "samples").glob("*.png"))
    assert len({grid.read_bytes() for grid in grids}) > 1
    for grid in grids[1:]:
        if grid.read_bytes() != grids[0].read_bytes():
            grid.write_bytes(grids[0].read_bytes())
            break
    (folder / "notes.txt").write_text("not of this run")
    found = verify.inspect(store.root)
    assert [finding.damaged for finding in found if grid.name in finding.found] == [True]
    assert [finding.damaged for finding in found if "notes.txt" in finding.found] == [False]


def test_repair_removes_only_leftovers_of_killed_processes(
    store: Store,
    folder: Path,
    make_spec: Callable[..., TrainingSpec],
    trained: Train,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / ".record.json.99.tmp").write_text("half")
    (folder / "samples" / ".epoch_0001.png.99.tmp").write_text("half")
    dead = {"host": leases.host_id(), "pid": 2**22 + 1, "started": "1", "token": "x"}
    (folder / ".lease.3").write_text(json.dumps(dead))
    removal = store.root / "runs" / ".forgotten-some-run"
    removal.mkdir()
    (removal / "record.json").write_text("{}")
    trained(store, make_spec(7), 1)  # in training, by this process
    busy = store.root / "runs" / make_spec(7).run_id
    (busy / ".record.json.98.tmp").write_text("being written")
    before = contents(store.root)
    findings = verify.inspect(store.root)
    assert not any(finding.damaged for finding in findings)
    assert any("in progress by process" in finding.found for finding in findings)
    removed = verify.repair(store.root, findings)
    after = contents(store.root)
    leftovers = {
        folder / ".record.json.99.tmp", folder / "samples" / ".epoch_0001.png.99.tmp", folder / ".lease.3"
    }  # fmt: skip
    assert before.keys() - after.keys() == leftovers | {removal / "record.json"}
    assert {path.resolve() for path in leftovers} < {path.resolve() for path in removed}
    assert not removal.exists()


def test_a_hostile_folder_is_reported_and_repair_stays_inside(
    store: Store, folder: Path, tmp_path: Path, make_spec: Callable[..., TrainingSpec]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in (".forgotten-x", ".record.json.0.0123abcd.tmp", "record.json", ".lease.1"):
        (outside / name).write_text("not theirs")
    runs = store.root / "runs"
    (runs / ".forgotten-link").symlink_to(outside)
    (runs / ".forgotten-file").write_text("no folder")
    (runs / "linked-run").symlink_to(outside)
    (runs / "..evil").mkdir()
    inner = runs / make_spec(1).run_id
    inner.mkdir()
    (inner / "samples").symlink_to(outside)
    (inner / "spec.json").symlink_to(outside / "record.json")
    os.mkfifo(inner / ".lease.4")
    removal = runs / ".forgotten-real"
    removal.mkdir()
    (removal / "deep").symlink_to(outside)
    (folder / ".scores.json.0.0123abcd.tmp").symlink_to(outside / "record.json")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../../../outside/record.json\n")
    before = contents(tmp_path)
    findings = verify.inspect(store.root)
    assert contents(tmp_path) == before
    by_folder = {finding.where: finding for finding in findings}
    assert {
        ".forgotten-link",
        ".forgotten-file",
        "linked-run",
        "..evil",
        inner.name,
        folder.name,
    } <= by_folder.keys()
    assert not by_folder[".forgotten-link"].leftovers, "a link is not an interrupted removal"
    verify.repair(store.root, findings)
    assert not removal.exists()
    assert (runs / ".forgotten-link").is_symlink()
    assert (runs / "linked-run").is_symlink()
    after = contents(tmp_path)
    assert after.keys() >= before.keys() - {folder / ".scores.json.0.0123abcd.tmp"}
    assert all(after[path] == before[path] for path in after)


def test_doctor_prints_the_findings_and_exits_with_1_for_damage(store: Store, folder: Path) -> None:
    asked = ["doctor", "--results", str(store.root), "--json"]
    sound = CliRunner().invoke(main, asked)
    assert (sound.exit_code, "intact" in sound.output) == (0, True)
    (folder / "checkpoint.safetensors").write_bytes(b"torn")
    damaged = CliRunner().invoke(main, asked)
    assert damaged.exit_code == 1
    assert "damaged, not used" in damaged.output
    assert CliRunner().invoke(main, ["doctor", "--repair"]).exit_code == 2
    assert CliRunner().invoke(main, ["doctor", "--results", str(store.root / "none")]).exit_code == 2
