"""Runs on a user's own images: identity by content, reuse, evaluation, and worker processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.events import notices_into
from helpers.whole_runs import Trial
from PIL import Image

import gan_bench as gb
from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.data.base import datasets
from gan_bench.data.user_images import dataset as user_images
from gan_bench.report.reproduce import commands


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    datasets.names()
    monkeypatch.setattr(datasets, "_objects", dict(datasets._objects))
    yield
    user_images._registered.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for index in range(40):
        path = root / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(index).randint(0, 256, (28, 28)) // (1 + index % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def changes(folder: Path) -> dict[str, object]:
    values = {"dataset": f"pets={folder}", "batch_size": 8, "eval_samples": 16, "metrics": ("is",), "epochs": 1}
    return {**values, "extractors": ("mnist-cnn",)}  # which needs no training


def test_runs_on_other_content_are_other_runs(folder: Path, trial: Callable[..., Trial]) -> None:
    runs = trial(**changes(folder))
    [first] = runs.run()
    assert first.run_id.startswith("vanilla-bce-pets28")
    assert first.status == "done"
    assert first.dataset_requested == "pets=pets", "no folder of the user's machine is recorded"
    assert [spec.run_id for spec in runs.plan().finished] == [first.run_id]
    (folder / "cat" / "0.png").unlink()
    planned = runs.plan()
    assert planned.finished == ()
    assert planned.specs[0].run_id != first.run_id
    [stored] = runs.stored()
    assert stored.environment["dataset_sha256"] == stored.spec.dataset_sha256
    assert "EXIF orientation applied" in stored.environment["dataset_source"]
    assert "--dataset pets=PATH" in commands([stored])[0]


def test_stored_runs_are_evaluated_on_the_images_that_they_were_trained_on(
    folder: Path, trial: Callable[..., Trial]
) -> None:
    runs = trial(**changes(folder))
    [record] = runs.run()
    user_images._registered.clear()
    datasets._objects.pop("pets")
    evaluation = EvaluationSpec(metrics=("kid",), extractors=("mnist-cnn",), samples=16)
    with pytest.raises(InputError, match=r"on a user's images 'pets': give --dataset pets=PATH"):
        gb.evaluate(["all"], evaluation, runs.options)
    source = user_images.ImageSource("pets", folder)
    options = runs.options.model_copy(update={"image_sources": (source,)})
    gb.evaluate([record.run_id], evaluation, options)
    assert {score.metric for score in runs.stored()[0].scores} >= {"kid_mean", "inception_score_mean"}
    (folder / "cat" / "0.png").unlink()
    with pytest.raises(InputError, match="no chosen run was trained on these images"):
        gb.evaluate([record.run_id], evaluation, options)


def test_misspelt_names_are_reported_before_images_are_decoded(folder: Path, trial: Callable[..., Trial]) -> None:
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="did you mean vanilla"):
        trial(**{**changes(folder), "models": ("vanila",)}).plan()


def test_a_batch_larger_than_the_training_set_is_refused_with_the_number(
    folder: Path, trial: Callable[..., Trial]
) -> None:
    with pytest.raises(InputError, match="pets has 32 training images; choose at most 32"):
        trial(**{**changes(folder), "batch_size": 64}).plan()


@pytest.mark.slow
@pytest.mark.workers
def test_worker_processes_find_the_images(folder: Path, trial: Callable[..., Trial]) -> None:
    notices: list[str] = []
    runs = trial(**changes(folder))
    [record] = gb.run(runs.matrix, runs.options, notices_into(notices))
    assert (record.status, record.reason) == ("done", ""), notices
