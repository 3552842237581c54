"""Damage: every file truncated at many lengths, and with flipped bits, is noticed, reported, and never shown."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from helpers import kept_results
from helpers.events import notices_into
from helpers.toy_run import toy_spec, train, training_results

from gan_bench.cli import main
from gan_bench.core.errors import RunError
from gan_bench.core.images import gif_bytes
from gan_bench.report import write_report
from gan_bench.store import checksums
from gan_bench.store.store import Store
from gan_bench.store.verify import inspect

SPEC = toy_spec()
CUTS = (0.0, 0.001, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
FLIPS = (0.0, 0.03, 0.2, 0.4, 0.6, 0.8, 0.95, 0.9999)


def damages(data: bytes) -> Iterator[bytes]:
    """The file truncated at ten lengths, and with one bit flipped at eight positions."""
    for cut in CUTS:
        yield data[: int(cut * len(data))]
    yield data[:-2]  # the last byte of a text is the end of its last line
    for number, position in enumerate(FLIPS):
        flipped = bytearray(data)
        flipped[int(position * len(data))] ^= 1 << number
        yield bytes(flipped)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two results folders: of a finished run, and of an unfinished one with two checkpoints."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("finished", "unfinished")}
    for name, root in roots.items():
        assert train(Store.open(root, create=True), SPEC, finish=name == "finished")
    return roots


def run_of(root: Path) -> Path:
    return root / "runs" / SPEC.run_id


def damaged(made: Path, name: str, folder: Path) -> Iterator[tuple[Path, int]]:
    """Copies of a results folder, in each of which one file is damaged in another way."""
    data = (run_of(made) / name).read_bytes()
    for number, damage in enumerate(damages(data)):
        if damage != data:
            root = folder / str(number)
            shutil.copytree(made, root)
            (run_of(root) / name).write_bytes(damage)
            yield root, number


def invoke(*arguments: object) -> tuple[int, str]:
    """Run a command, which must not end with a traceback; return its exit code and output."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert "defect" not in result.output
    return result.exit_code, result.output


def train_again(store: Store) -> bool:
    """Repeat the training command; return False if the spec became that of another run."""
    try:
        return train(store, SPEC)
    except RunError as error:
        if "contains another run's spec" not in str(error):
            raise
        return False


FINISHED = [*checksums.READ, checksums.SUMS, "checkpoint.json", "checkpoint.safetensors", "best.json",
            "best.safetensors", "samples/epoch_0002.png", "samples/real.png", "samples/progress.gif"]  # fmt: skip


@pytest.mark.parametrize("name", FINISHED)
def test_a_damaged_file_of_a_finished_run_is_noticed_and_repaired_by_the_same_command(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    cases = repaired = 0
    for root, number in damaged(made["finished"], name, tmp_path):
        cases += 1
        notices: list[str] = []
        store = Store.open(root, create=False, on_event=notices_into(notices))
        skipped = store.runs() == []
        if name in checksums.READ:
            assert skipped, f"damage {number} is reported as if nothing were wrong"
        assert len(notices) == skipped
        found = [finding for finding in inspect(root) if finding.damaged]
        assert found, f"doctor does not find damage {number}"
        assert any(name in finding.found or checksums.SUMS in finding.found for finding in found)
        assert invoke("doctor", "--results", root)[0] == 1
        assert invoke("status", root)[0] == 0
        if skipped and train_again(store):
            repaired += 1
            assert training_results(run_of(root)) == training_results(run_of(made["finished"]))
            assert inspect(root) == []
    assert cases >= 15
    assert repaired >= 12 or name not in checksums.READ


UNFINISHED = ["spec.json", "environment.json", "epochs.csv", "scores.json", "checkpoint.json", "best.json",
              "checkpoint.safetensors", "best.safetensors", "checkpoint.previous.json"]  # fmt: skip
REPLACED = {"environment.json", "best.json", "best.safetensors", "checkpoint.previous.json"}
"""Files that a resumed run replaces without reading them, or reads only where another one is damaged too."""


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_run_resumes_in_spite_of_a_damaged_file(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    reported = 0
    for root, number in damaged(made["unfinished"], name, tmp_path):
        assert invoke("status", root)[0] == 0
        assert invoke("doctor", "--results", root)[0] in (0, 1)
        notices: list[str] = []
        if not train_again(Store.open(root, create=True, on_event=notices_into(notices))):
            assert name == "spec.json"
            reported += 1
            continue
        assert training_results(run_of(root)) == training_results(run_of(made["finished"])), f"damage {number}"
        assert inspect(root) == []
        if notices:
            reported += 1
            assert name.replace("safetensors", "json") in " ".join(notices)
    if name not in REPLACED:
        assert reported >= 15, "damage is passed over in silence"


def decompression_bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that declares side x side black pixels."""
    rows = zlib.compress(bytes(1 + side) * min(side, 4000), 9)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [4_000, 12_000, 60_000], ids=["gan_bench", "Pillow warns", "Pillow refuses"])
def test_an_image_that_would_fill_memory_costs_only_the_animation(
    made: dict[str, Path], tmp_path: Path, side: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made["unfinished"], out)
    image = run_of(out) / "samples" / "epoch_0001.png"
    image.write_bytes(decompression_bomb(side))
    assert len(decompression_bomb(side)) < 1_000_000
    with pytest.raises(RunError, match=r"epoch_0001\.png: .*pixels .*for a sample grid"):
        gif_bytes([image])
    notices: list[str] = []
    store = Store.open(out, create=False, on_event=notices_into(notices))
    assert train(store, SPEC)
    assert store.is_trained(SPEC)
    assert ["pixels" in notice for notice in notices] == [True]
    assert not (run_of(out) / "samples" / "progress.gif").exists()
    assert [run.record.status for run in store.runs()] == ["done"]
    assert any(finding.damaged and "epoch_0001.png" in finding.found for finding in inspect(out))


def test_the_report_is_made_from_intact_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_report, "render_plots", kept_results.read_pictures_only)
    store = Store.open(tmp_path, create=True)
    specs = [toy_spec(seed) for seed in range(len(FINISHED) + 2)]
    for spec in specs:
        train(store, spec)
    for spec, name in zip(specs, FINISHED, strict=False):
        path = tmp_path / "runs" / spec.run_id / name
        path.write_bytes(path.read_bytes()[:-9])
    code, output = invoke("report", tmp_path)
    assert code == 0
    reported = set(pd.read_csv(tmp_path / "report" / "runs.csv")["run_id"])
    skipped = {
        spec.run_id
        for spec, name in zip(specs, FINISHED, strict=False)
        if name in (*checksums.READ, checksums.SUMS)
    }
    assert reported == {spec.run_id for spec in specs} - skipped
    for run_id in skipped:
        assert run_id in output
