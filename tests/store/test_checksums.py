"""SHA256SUMS: the format, and replacing files of a trained run without a moment at which they don't match."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from helpers.counted_calls import is_killed
from helpers.run_folders import file_bytes, folder_of
from helpers.toy_run import contents, evaluate, toy_spec, train

from gan_bench.core.errors import RunError
from gan_bench.core.records import RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.store import checksums, fenced_writes
from gan_bench.store.run_folder import RunFolder
from gan_bench.store.store import Store
from gan_bench.store.verify import inspect, repair

MakeScore = Callable[..., Score]
MakeRecord = Callable[..., RunRecord]
SPEC = toy_spec()
NEW = {"scores.json": b"[]\n", "record.json": b"{}\n"}


@pytest.fixture
def folder(store: Store) -> RunFolder:
    """A trained run, held by this process."""
    assert train(store, SPEC)
    assert store.claim(SPEC)
    return RunFolder((store.root / "runs").resolve(), SPEC.run_id)


def sums(folder: RunFolder) -> str:
    return (folder.path / "SHA256SUMS").read_text()


def sha256sum(folder: RunFolder) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder.path, capture_output=True, text=True, check=False)


needs_sha256sum = pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs GNU coreutils")


def test_every_file_of_a_trained_run_has_one_line(folder: RunFolder) -> None:
    lines = [line.split("  ") for line in sums(folder).splitlines()]
    assert {name for _, name in lines} == contents(folder.path).keys() - {"SHA256SUMS"}
    assert {name: digest for digest, name in lines} == {
        name: digest for name, digest in contents(folder.path).items() if name != "SHA256SUMS"
    }
    checksums.check(folder)


@needs_sha256sum
def test_sha256sum_accepts_the_file(folder: RunFolder) -> None:
    assert (sha256sum(folder).returncode, sha256sum(folder).stderr) == (0, "")
    checksums.replace(folder, NEW)
    assert (sha256sum(folder).returncode, sha256sum(folder).stderr) == (0, "")
    (folder.path / "scores.json").write_bytes(b"[{}]\n")
    assert sha256sum(folder).returncode == 1


def test_replaced_files_have_new_checksums_and_no_previous_ones(folder: RunFolder) -> None:
    before = sums(folder)
    checksums.replace(folder, NEW)
    assert {name: (folder.path / name).read_bytes() for name in NEW} == NEW
    assert sums(folder) != before
    assert "#" not in sums(folder)
    assert len(sums(folder).splitlines()) == len(before.splitlines())
    checksums.check(folder)


class StopError(Exception):
    pass


def replace_until(
    monkeypatch: pytest.MonkeyPatch, folder: RunFolder, contents: Mapping[str, bytes], stop: int
) -> list[str]:
    """Replace files, with a stop before write number `stop`; return the names of the files written before."""
    write = fenced_writes.write_bytes
    written: list[str] = []

    def stopping(run: RunFolder, path: Path, data: bytes) -> None:
        if len(written) + 1 == stop:
            raise StopError
        write(run, path, data)
        written.append(path.name)

    with monkeypatch.context() as patch:
        patch.setattr(fenced_writes, "write_bytes", stopping)
        with pytest.raises(StopError):
            checksums.replace(folder, contents)
    return written


@needs_sha256sum
def test_sha256sum_accepts_the_comment_lines_of_an_interrupted_replacement(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replace_until(monkeypatch, folder, NEW, stop=4) == ["SHA256SUMS", "scores.json", "record.json"]
    comments = [line for line in sums(folder).splitlines() if line.startswith("# previous ")]
    assert [line.split("  ")[1] for line in comments] == sorted(NEW)
    assert (sha256sum(folder).returncode, sha256sum(folder).stderr) == (0, "")
    checksums.check(folder)
    checksums.replace(folder, NEW)
    assert "#" not in sums(folder)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_files_match_wherever_a_replacement_stops_and_another_one_follows(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """The second replacement stops as well, so that files of three versions meet."""
    for version in (b"[1]\n", b"[2]\n", b"[3]\n"):
        replace_until(monkeypatch, folder, {"scores.json": version, "record.json": version}, stop)
        checksums.check(folder)
    checksums.replace(folder, NEW)
    checksums.check(folder)
    assert "#" not in sums(folder)


@pytest.mark.parametrize(
    "scored",
    [pytest.param(True, marks=pytest.mark.slow), False],
    ids=["trained with scores", "trained without scores"],
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are POSIX signals here")
def test_an_evaluation_killed_at_any_call_leaves_a_valid_run_and_is_completed_by_the_next(
    tmp_path: Path, scored: bool
) -> None:
    trained, undisturbed = tmp_path / "trained", tmp_path / "undisturbed"
    store = Store.open(trained, create=True, on_event=pytest.fail)
    if scored:
        assert train(store, SPEC)
    else:
        store.begin(SPEC, {})
        store.finish(SPEC, RunRecord(run_id=SPEC.run_id, status="done"))
        store.release(SPEC)
    shutil.copytree(trained, undisturbed)
    assert evaluate(Store.open(undisturbed, create=False, on_event=pytest.fail), SPEC)
    old, new = (contents(root / "runs" / SPEC.run_id) for root in (trained, undisturbed))
    assert {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)} == {
        "SHA256SUMS", "record.json", "scores.json",
    }  # fmt: skip
    assert kills_of_evaluations(tmp_path, trained, old, new) > 20, "is every write still counted?"


def kills_of_evaluations(tmp_path: Path, trained: Path, old: dict[str, str], new: dict[str, str]) -> int:
    for at in range(1, 1000):
        root = tmp_path / str(at)
        shutil.copytree(trained, root)
        store = Store.open(root, create=False, on_event=pytest.fail)
        if not is_killed(lambda store=store: evaluate(store, SPEC), root, at):  # type: ignore[misc]
            break
        folder = RunFolder((root / "runs").resolve(), SPEC.run_id)
        checksums.check(folder)
        found = contents(folder.path)
        assert all(found[name] in (old[name], new[name]) for name in NEW)
        assert [run.spec for run in store.runs()] == [SPEC]
        assert store.is_trained(SPEC)
        assert not any(finding.damaged for finding in inspect(root))
        assert evaluate(store, SPEC)
        assert contents(folder.path) == new, f"killed before call {at}"
        repair(root, inspect(root))
        assert inspect(root) == []
        shutil.rmtree(root)
    return at - 1


@pytest.mark.parametrize("name", checksums.READ)
def test_a_replacement_is_refused_where_a_file_was_changed(folder: RunFolder, name: str) -> None:
    path = folder.path / name
    path.write_bytes(path.read_bytes() + b" ")
    before = file_bytes(folder.path)
    with pytest.raises(RunError, match=f"{name}: was changed after it was written"):
        checksums.replace(folder, NEW)
    assert file_bytes(folder.path) == before


@pytest.mark.parametrize("text", ["", "no checksum\n", f"{'0' * 64} scores.json\n", f"# note\n{'0' * 64}  a\n"])
def test_a_damaged_list_of_checksums_is_refused(folder: RunFolder, text: str) -> None:
    (folder.path / "SHA256SUMS").write_text(text)
    before = file_bytes(folder.path)
    with pytest.raises(RunError, match="is not a list of checksums, or is incomplete"):
        checksums.replace(folder, NEW)
    assert file_bytes(folder.path) == before


def test_a_file_without_a_checksum_and_a_missing_file_are_faults(folder: RunFolder) -> None:
    lines = sums(folder).splitlines(keepends=True)
    (folder.path / "SHA256SUMS").write_text("".join(line for line in lines if "scores.json" not in line))
    with pytest.raises(RunError, match=r"scores.json: has no line in SHA256SUMS"):
        checksums.check(folder)
    (folder.path / "SHA256SUMS").write_text("".join(lines))
    (folder.path / "scores.json").unlink()
    with pytest.raises(RunError, match=r"scores.json: is missing"):
        checksums.check(folder)


def test_a_run_without_checksums_is_evaluated_and_stays_without(
    store: Store, spec: TrainingSpec, make_record: MakeRecord, make_score: MakeScore, notices: list[str]
) -> None:
    store.begin(spec, {})
    store.finish(spec, make_record(spec))
    (folder_of(store, spec) / "SHA256SUMS").unlink()
    store.add_evaluation(spec, [make_score()], make_record(spec, verdict="ok"))
    (run,) = store.runs()
    assert (run.scores, run.record.verdict) == ([make_score()], "ok")
    assert not (folder_of(store, spec) / "SHA256SUMS").exists()
    assert notices == []


def test_a_run_that_is_evaluated_while_it_is_read_is_not_taken_for_changed(
    store: Store, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    read = RunFolder.read

    def read_then_evaluate(run: RunFolder, name: str, max_bytes: int | None = None) -> bytes:
        found = read(run, name, max_bytes)
        if name == checksums.SUMS:
            monkeypatch.setattr(RunFolder, "read", read)
            assert evaluate(store, SPEC)
        return found

    monkeypatch.setattr(RunFolder, "read", read_then_evaluate)
    assert store.is_trained(SPEC)
    assert notices == []
    assert RunFolder.read is read
