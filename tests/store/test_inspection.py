from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from gan_bench.cli import main
from gan_bench.record import Checkpoint, RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store import inspection, lease
from gan_bench.store.store import Store

Train = Callable[[Store, RunSpec, int], None]


@pytest.fixture
def folder(
    store: Store,
    spec: RunSpec,
    trained: Train,
    make_record: Callable[..., RunRecord],
    make_checkpoint: Callable[..., Checkpoint],
) -> Path:
    trained(store, spec, 2)
    store.keep_best(spec, make_checkpoint(10))
    store.finish(spec, make_record(spec))
    return store.root / "runs" / spec.run_id


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sound_folder_has_no_findings(store: Store, folder: Path) -> None:
    before = contents(store.root)
    assert inspection.inspect(store.root) == []
    assert inspection.repair(store.root, []) == []
    assert contents(store.root) == before


@pytest.mark.parametrize(
    "name",
    ["spec.json", "record.json", "epochs.csv", "scores.json", "checkpoint.safetensors", "best.json"],
)
def test_every_damaged_file_is_found_and_nothing_is_removed(store: Store, folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for damage in (b"", data[: len(data) // 3], data[:-2] + bytes([data[-2] ^ 0x55, data[-1]])):
        (folder / name).write_bytes(damage)
        before = contents(store.root)
        findings = inspection.inspect(store.root)
        assert any(finding.damaged for finding in findings), (name, len(damage))
        inspection.repair(store.root, findings)
        assert contents(store.root) == before


def test_what_is_well_formed_but_another_is_found_by_its_sum(store: Store, folder: Path) -> None:
    """A picture that is one, and a file that is sound but of no run: only the sums can tell."""
    pictures = sorted((folder / "samples").glob("*.png"))
    assert len({picture.read_bytes() for picture in pictures}) > 1
    for picture in pictures[1:]:
        if picture.read_bytes() != pictures[0].read_bytes():
            picture.write_bytes(pictures[0].read_bytes())
            break
    (folder / "notes.txt").write_text("not of this run")
    found = inspection.inspect(store.root)
    assert [finding.damaged for finding in found if picture.name in finding.found] == [True]
    assert [finding.damaged for finding in found if "notes.txt" in finding.found] == [False]


def test_repair_removes_what_killed_writers_left_and_only_that(
    store: Store, folder: Path, make_spec: Callable[..., RunSpec], trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".record.json.99.tmp").write_text("half")
    (folder / "samples" / ".epoch_0001.png.99.tmp").write_text("half")
    dead = {"host": lease.host_id(), "pid": 2**22 + 1, "started": "1", "token": "x"}
    (folder / ".lease.3").write_text(json.dumps(dead))
    gone = store.root / "runs" / ".forgotten-some-run"
    gone.mkdir()
    (gone / "record.json").write_text("{}")
    trained(store, make_spec(7), 1)  # being trained, by this process
    busy = store.root / "runs" / make_spec(7).run_id
    (busy / ".record.json.98.tmp").write_text("being written")
    before = contents(store.root)
    findings = inspection.inspect(store.root)
    assert not any(finding.damaged for finding in findings)
    assert any("trained by process" in finding.found for finding in findings)
    removed = inspection.repair(store.root, findings)
    after = contents(store.root)
    left = {folder / ".record.json.99.tmp", folder / "samples" / ".epoch_0001.png.99.tmp", folder / ".lease.3"}
    assert before.keys() - after.keys() == left | {gone / "record.json"}
    assert {path.resolve() for path in left} < {path.resolve() for path in removed}
    assert not gone.exists()


def test_a_hostile_folder_is_told_of_and_repair_stays_inside(
    store: Store, folder: Path, tmp_path: Path, make_spec: Callable[..., RunSpec]
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
    gone = runs / ".forgotten-real"
    gone.mkdir()
    (gone / "deep").symlink_to(outside)
    (folder / ".scores.json.0.0123abcd.tmp").symlink_to(outside / "record.json")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../../../outside/record.json\n")
    before = contents(tmp_path)
    findings = inspection.inspect(store.root)
    assert contents(tmp_path) == before
    told = {finding.where: finding for finding in findings}
    assert {".forgotten-link", ".forgotten-file", "linked-run", "..evil", inner.name, folder.name} <= told.keys()
    assert not told[".forgotten-link"].litter, "a link is no removal that was cut off"
    inspection.repair(store.root, findings)
    assert not gone.exists()
    assert (runs / ".forgotten-link").is_symlink()
    assert (runs / "linked-run").is_symlink()
    after = contents(tmp_path)
    assert after.keys() >= before.keys() - {folder / ".scores.json.0.0123abcd.tmp"}
    assert all(after[path] == before[path] for path in after)


def test_the_command_says_what_is_wrong_and_exits_by_it(store: Store, folder: Path) -> None:
    asked = ["doctor", "--results", str(store.root), "--json"]
    sound = CliRunner().invoke(main, asked)
    assert (sound.exit_code, "nothing is wrong" in sound.output) == (0, True)
    (folder / "checkpoint.safetensors").write_bytes(b"torn")
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 1
    assert "damaged and not used" in told.output
    assert CliRunner().invoke(main, ["doctor", "--repair"]).exit_code == 2
    assert CliRunner().invoke(main, ["doctor", "--results", str(store.root / "none")]).exit_code == 2
