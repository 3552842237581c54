"""Conditional models on the command line: class accuracy, a grid row for each class, and samples of one class."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import Result
from helpers.cli_words import Invoke
from PIL import Image

from gan_bench.data.base import datasets
from gan_bench.report.sample_grids import PADDING, TILES

CLASSES = 10
SMALL = (
    *("run", "--dataset", "synthetic", "--metrics", "fid,class-accuracy", "--eval-samples", "160", "--steps", "6"),
    *("--preset", "smoke", "--batch-size", "64", "--set", "width=0.0625", "--offline"),
)


@pytest.fixture(scope="module")
def trained(invoke: Invoke, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("conditional") / "out"
    result = invoke(*SMALL, "--models", "cgan,vanilla", "--out", out)
    assert result.exit_code == 0, result.output
    return result, out


def run_folder(out: Path, model: str) -> Path:
    return next((out / "runs").glob(f"{model}-*"))


def test_only_conditional_models_have_a_class_accuracy(trained: tuple[Result, Path]) -> None:
    _, out = trained
    columns = {
        model: {score["metric"] for score in json.loads((run_folder(out, model) / "scores.json").read_text())}
        for model in ("cgan", "vanilla")
    }
    assert columns["cgan"] - columns["vanilla"] == {"class_accuracy"}
    with (out / "report" / "runs.csv").open() as file:
        rows = {row["model"]: row["class_accuracy"] for row in csv.DictReader(file)}
    assert 0 <= float(rows["cgan"]) <= 1
    assert rows["vanilla"] == ""


def test_the_same_command_again_evaluates_nothing(invoke: Invoke, trained: tuple[Result, Path]) -> None:
    _, out = trained
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}
    again = invoke(*SMALL, "--models", "cgan,vanilla", "--out", out)
    assert again.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")} == before


def test_class_fid_is_computed_where_it_is_asked_for(invoke: Invoke, trained: tuple[Result, Path]) -> None:
    """There are too few images here; that is one line, and no score is lost."""
    _, out = trained
    scores = (run_folder(out, "vanilla") / "scores.json").read_bytes()
    result = invoke("eval", "cgan", "--out", out, "--metrics", "class-fid", "--offline")
    assert result.exit_code == 2, result.output
    assert "images of each class, but there are 26 real ones of class 0" in result.output.replace("\n", " ")
    assert (run_folder(out, "vanilla") / "scores.json").read_bytes() == scores


def test_a_grid_has_a_row_for_each_class(trained: tuple[Result, Path]) -> None:
    _, out = trained
    sides = {}
    for model in ("cgan", "vanilla"):
        with Image.open(next((run_folder(out, model) / "samples").glob("epoch_*.png"))) as grid:
            sides[model] = grid.size
    width = TILES * (28 + PADDING) + PADDING
    assert sides == {"cgan": (width, CLASSES * (28 + PADDING) + PADDING), "vanilla": (width, width)}


def test_sample_draws_one_class(invoke: Invoke, trained: tuple[Result, Path], tmp_path: Path) -> None:
    _, out = trained
    pixels = []
    for label in (3, 3, 4):
        file = tmp_path / "grid.png"
        result = invoke("sample", "cgan", "--dir", out, "--n", 8, "--class", label, "--out", file)
        assert result.exit_code == 0, result.output
        assert f"class {label}" in result.output
        with Image.open(file) as grid:
            pixels.append(grid.tobytes())
    assert pixels[0] == pixels[1] != pixels[2]


@pytest.mark.parametrize(
    ("model", "label", "words"),
    [("cgan", 10, "synthetic has classes 0 to 9"), ("cgan", -1, "0 to 9"), ("vanilla", 0, "omit --class")],
)
def test_sample_refuses_a_class_that_there_is_not(
    invoke: Invoke, trained: tuple[Result, Path], tmp_path: Path, model: str, label: int, words: str
) -> None:
    _, out = trained
    file = tmp_path / "grid.png"
    result = invoke("sample", model, "--dir", out, "--class", label, "--out", file)
    assert result.exit_code == 2
    assert f"--class {label}" in result.stderr
    assert words in result.stderr.replace("\n", " ")
    assert not file.exists()


def test_a_data_set_without_labels_is_refused(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.names()  # discover built-ins first
    monkeypatch.setattr(datasets, "_objects", dict(datasets._objects))  # the images are unknown to later tests
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        Image.new("L", (28, 28), number * 6).save(folder / f"{number}.png")
    words = ("--dataset", f"flat={folder}", "--out", tmp_path / "out", "--steps", "2", "--preset", "smoke")
    result = invoke("run", "--models", "cgan", *words)
    assert result.exit_code == 2
    assert "data set 'flat' has no labels" in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()
