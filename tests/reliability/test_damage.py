"""Every file cut off at many lengths, and with flipped bits: noticed, said, mended, and never reported."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from toy_run import learned, toy_spec, train

from gan_bench.cli import main
from gan_bench.errors import RunError
from gan_bench.store import pictures, sums
from gan_bench.store.inspection import inspect
from gan_bench.store.store import Store

SPEC = toy_spec()
CUTS = (0.0, 0.001, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
FLIPS = (0.0, 0.03, 0.2, 0.4, 0.6, 0.8, 0.95, 0.9999)


def damages(data: bytes) -> Iterator[bytes]:
    """The file cut off at ten lengths, and with one of its bits flipped at eight places."""
    for cut in CUTS:
        yield data[: int(cut * len(data))]
    yield data[:-2]  # the last byte of a text is the end of its last line
    for number, place in enumerate(FLIPS):
        flipped = bytearray(data)
        flipped[int(place * len(data))] ^= 1 << number
        yield bytes(flipped)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two results folders: of a run that is over, and of one that was left with two checkpoints."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("over", "left")}
    for name, root in roots.items():
        assert train(Store.open(root, create=True), SPEC, finish=name == "over")
    return roots


def run_of(root: Path) -> Path:
    return root / "runs" / SPEC.run_id


def damaged(made: Path, name: str, place: Path) -> Iterator[tuple[Path, int]]:
    """Copies of a results folder, in each of which one file is damaged in another way."""
    data = (run_of(made) / name).read_bytes()
    for number, damage in enumerate(damages(data)):
        if damage != data:
            root = place / str(number)
            shutil.copytree(made, root)
            (run_of(root) / name).write_bytes(damage)
            yield root, number


def asked(*arguments: object) -> tuple[int, str]:
    """Type a command; it must not end with a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert "defect" not in result.output
    return result.exit_code, result.output


def trained(store: Store) -> bool:
    """Give the same command again; False if it is told that the spec has become that of another run."""
    try:
        return train(store, SPEC)
    except RunError as error:
        if "holds another run's spec" not in str(error):
            raise
        return False


OVER = [*sums.READ, sums.SUMS, "checkpoint.json", "checkpoint.safetensors", "best.json", "best.safetensors",
        "samples/epoch_0002.png", "samples/real.png", "samples/progress.gif"]  # fmt: skip


@pytest.mark.parametrize("name", OVER)
def test_a_damaged_file_of_a_finished_run_is_noticed_and_what_is_reported_is_mended(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    cases = mended = 0
    for root, number in damaged(made["over"], name, tmp_path):
        cases += 1
        notices: list[str] = []
        store = Store.open(root, create=False, notify=notices.append)
        left_out = store.runs() == []
        if name in sums.READ:
            assert left_out, f"damage {number} is reported as if nothing were wrong"
        assert len(notices) == left_out
        found = [finding for finding in inspect(root) if finding.damaged]
        assert found, f"doctor does not see damage {number}"
        assert any(name in finding.found or sums.SUMS in finding.found for finding in found)
        assert asked("doctor", "--results", root)[0] == 1
        assert asked("status", root)[0] == 0
        if left_out and trained(store):
            mended += 1
            assert learned(run_of(root)) == learned(run_of(made["over"]))
            assert inspect(root) == []
    assert cases >= 15
    assert mended >= 12 or name not in sums.READ


LEFT = ["spec.json", "environment.json", "epochs.csv", "scores.json", "checkpoint.json", "best.json",
        "checkpoint.safetensors", "best.safetensors", "checkpoint.previous.json"]  # fmt: skip


NOT_READ = {"environment.json", "best.json", "best.safetensors", "checkpoint.previous.json"}
"""What a run that goes on writes anew without a look, or needs only where something else is damaged, too."""


@pytest.mark.parametrize("name", LEFT)
def test_a_half_finished_run_goes_on_in_spite_of_a_damaged_file(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    said = 0
    for root, number in damaged(made["left"], name, tmp_path):
        assert asked("status", root)[0] == 0
        assert asked("doctor", "--results", root)[0] in (0, 1)
        notices: list[str] = []
        said += 1
        if not trained(Store.open(root, create=True, notify=notices.append)):
            assert name == "spec.json"
            continue
        assert learned(run_of(root)) == learned(run_of(made["over"])), f"damage {number}"
        assert inspect(root) == []
        said -= not notices
        if notices:
            assert name.replace("safetensors", "json") in " ".join(notices)
    if name not in NOT_READ:
        assert said >= 15, "what is damaged is passed over in silence"


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that says it has side x side black pixels."""
    rows = zlib.compress(bytes(1 + side) * min(side, 4000), 9)
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d)) for name, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [4_000, 12_000, 60_000], ids=["for us", "Pillow warns", "Pillow refuses"])
def test_a_picture_that_would_fill_the_memory_costs_the_film_alone(
    made: dict[str, Path], tmp_path: Path, side: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made["left"], out)
    picture = run_of(out) / "samples" / "epoch_0001.png"
    picture.write_bytes(bomb(side))
    assert len(bomb(side)) < 1_000_000
    with pytest.raises(RunError, match=r"epoch_0001\.png: .*pixels .*than a grid"):
        pictures.gif([picture])
    notices: list[str] = []
    store = Store.open(out, create=False, notify=notices.append)
    assert train(store, SPEC)
    assert store.is_finished(SPEC)
    assert ["pixels" in notice for notice in notices] == [True]
    assert not (run_of(out) / "samples" / "progress.gif").exists()
    assert [run.record.status for run in store.runs()] == ["done"]
    assert any(finding.damaged and "epoch_0001.png" in finding.found for finding in inspect(out))


def test_the_report_is_made_from_what_is_intact(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    specs = [toy_spec(seed) for seed in range(len(OVER) + 2)]
    for spec in specs:
        train(store, spec)
    for spec, name in zip(specs, OVER, strict=False):
        path = tmp_path / "runs" / spec.run_id / name
        path.write_bytes(path.read_bytes()[:-9])
    code, told = asked("report", tmp_path)
    assert code == 0
    kept = set(pd.read_csv(tmp_path / "report" / "runs.csv")["run_id"])
    lost = {spec.run_id for spec, name in zip(specs, OVER, strict=False) if name in (*sums.READ, sums.SUMS)}
    assert kept == {spec.run_id for spec in specs} - lost
    for run_id in lost:
        assert run_id in told
