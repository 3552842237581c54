"""The Python API on whole matrices: files written, runs repeated or added, invalid input, reports."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import kept_results
from helpers.whole_runs import Trial, epoch_rows, notices, of_type, score_values
from PIL import Image

import gan_bench as gb
from gan_bench.core.events import EpochFinished, GroupStarted, Notice, RunFinished, StepProgress
from gan_bench.metrics.extractors import dataset_cnn
from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe
from gan_bench.models.base import models
from gan_bench.report import write_report

Make = Callable[..., Trial]

RUN_FILES = [
    "checkpoint.json",
    "checkpoint.safetensors",
    "environment.json",
    "epochs.csv",
    "record.json",
    "samples/epoch_0001.png",
    "samples/epoch_0004.png",
    "samples/progress.gif",
    "samples/real.png",
    "scores.json",
    "spec.json",
    "SHA256SUMS",
]
REPORT_FILES = [
    "index.html",
    "leaderboard.csv",
    "report.md",
    "report.tex",
    "runs.csv",
    "runs.parquet",
    "scores.csv",
    "summary.csv",
    "time_to_score.csv",
]
COLUMNS = """
    run_id model loss penalty dataset image_size seed lr_g lr_d batch_size steps epochs status verdict fid
    inception_score_mean inception_score_std kid_mean precision recall modes_covered extractor n_real n_fake
    epoch_seconds_median train_seconds images_per_second eval_seconds peak_memory_bytes g_params d_params device
    train_precision lanes attempts torch_version gan_bench_version commit
"""


EPOCH = {"epochs": 1, "metrics": ("fid",)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Trial:
    """Two seeds, trained for an epoch, to copy."""
    trial = Trial(tmp_path_factory.mktemp("trained") / "out", score_cache, {**EPOCH, "seeds": (0, 1)}, {})
    trial.run()
    return trial


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write reports without plots, which take seconds."""
    monkeypatch.setattr(write_report, "render_plots", kept_results.read_pictures_only)


def changed_at(trial: Trial) -> dict[str, int]:
    return {folder.name: (folder / "record.json").stat().st_mtime_ns for folder in trial.folders()}


def test_every_file_of_the_contract_is_written(trial: Make) -> None:
    small = trial()
    (record,) = small.run()
    assert (record.status, record.steps, record.epochs) == ("done", 16, 4)
    (folder,) = small.folders()
    assert [name for name in RUN_FILES if not (folder / name).is_file()] == []
    forbidden = {".pkl", ".pt", ".pth", ".tmp"}
    assert [path for path in small.out.rglob("*") if path.suffix in forbidden] == []
    paths = gb.write_report(small.out)
    assert [name for name in REPORT_FILES if not (small.out / "report" / name).is_file()] == []
    for picture in [*(folder / "samples").iterdir(), *(path for path in paths.plots if path.suffix == ".png")]:
        with Image.open(picture) as image:
            image.load()
            assert min(image.size) > 0
    assert record.run_id in (small.out / "report" / "runs.csv").read_text()


def test_results_load_as_one_row_per_run(trial: Make, trained: Trial, no_plots: None) -> None:
    small = trial(seeds=(0, 1), epochs=1).start_from(trained)
    small.run()
    frame = gb.load_results(small.out)
    assert gb.load_results(str(small.out)).equals(frame)
    assert [column for column in COLUMNS.split() if column not in frame] == []
    assert frame["seed"].tolist() == [0, 1]
    scores = ["fid", "inception_score_mean", "kid_mean", "precision", "recall", "modes_covered"]
    assert frame[scores].map(math.isfinite).to_numpy().all()
    assert (frame["n_real"].tolist(), frame["n_fake"].tolist()) == ([160, 160], [160, 160])
    assert frame["fid"].nunique() == 2
    gb.write_report(small.out)
    assert list(pd.read_csv(small.out / "report" / "runs.csv").columns) == list(frame.columns)


def test_the_same_matrix_again_does_nothing(trial: Make, trained: Trial) -> None:
    small = trial(**EPOCH, seeds=(0, 1)).start_from(trained)
    before = changed_at(small)
    events: list[Any] = []
    records = small.run(events.append)
    assert [record.run_id for record in records] == [run.record.run_id for run in trained.stored()]
    assert changed_at(small) == before
    for kind in (GroupStarted, StepProgress, EpochFinished, RunFinished):
        assert of_type(events, kind) == []
    plan = small.plan()
    assert (len(plan.finished), plan.groups, plan.to_train, plan.to_evaluate) == (2, (), [], ())


def test_another_seed_adds_one_run(trial: Make, trained: Trial) -> None:
    wider = trial(**EPOCH, seeds=(0, 1, 2)).start_from(trained)
    before = changed_at(wider)
    assert [spec.seed for spec in wider.plan().to_train] == [2]
    assert [record.status for record in wider.run()] == ["done"] * 3
    after = changed_at(wider)
    assert len(after) == 3
    assert before.items() <= after.items()


def test_fresh_trains_again_with_equal_results(trial: Make, trained: Trial) -> None:
    small = trial(**EPOCH, seeds=(0, 1), fresh=True).start_from(trained)
    before, rows = changed_at(small), epoch_rows(small.folders()[0])
    small.run()
    assert changed_at(small) != before
    assert epoch_rows(small.folders()[0]) == rows


def test_all_stands_for_every_model_of_the_image_size(trial: Make) -> None:
    def planned(**changes: object) -> list[str]:
        matrix = trial(models=("vanilla", "all"), **changes)
        return [spec.model for spec in gb.plan(matrix.matrix, matrix.options).specs]

    assert planned() == ["vanilla", *(name for name in models.names() if name != "vanilla")]
    assert planned(image_size=64) == ["vanilla", "cgan", "dcgan64"]


def test_a_plan_writes_nothing(trial: Make) -> None:
    small = trial(seeds=(0, 1, 2), lrs=((1e-4, 1e-4), (2e-4, 2e-4)))
    plan = small.plan()
    assert len(plan.specs) == len(plan.groups) == len(plan.to_train) == 6
    assert (plan.finished, plan.to_evaluate) == ((), ())
    assert not small.out.exists()


def test_the_data_set_chosen_by_auto_is_recorded_and_announced(
    trial: Make, tmp_path: Path, no_plots: None
) -> None:
    offline = trial(dataset="auto", extractors=("mnist-cnn",), **EPOCH, data_root=tmp_path / "empty")
    events: list[Any] = []
    (record,) = offline.run(events.append)
    assert record.dataset_requested == "auto"
    assert "digits28" in record.run_id
    expected = "MNIST is not available; using the embedded `digits` instead."
    assert any(text.startswith(expected) for text in notices(events)), notices(events)
    assert "MNIST was not available" in gb.write_report(offline.out).markdown.read_text()


@pytest.fixture
def hinge(tmp_path: Path, borrowed_registries: None) -> Path:
    """A plugin file that adds a loss."""
    file = tmp_path / "hinge.py"
    file.write_text(
        "from gan_bench.plugins import Loss, losses\n"
        "@losses.register('plugin-hinge')\n"
        "class Hinge(Loss):\n"
        "    title, paper = 'Hinge', 'arXiv 1705.02894'\n"
        "    def discriminator(self, real_logits, fake_logits):\n"
        "        return (1 - real_logits).relu().mean(-1) + (1 + fake_logits).relu().mean(-1)\n"
        "    def generator(self, real_logits, fake_logits):\n"
        "        return -fake_logits.mean(-1)\n"
    )
    return file


def test_a_plugin_file_adds_a_loss(trial: Make, hinge: Path) -> None:
    added = trial(losses=("plugin-hinge",), **EPOCH, plugins=(hinge,))
    (record,) = added.run()
    assert record.succeeded
    assert added.run() == [record], "named again in the same process, the file is executed once"


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"run_timeout": 600.0}, {"jobs": 2}], ids=["one", "two"])
def test_worker_processes_give_the_results_of_this_process_with_plugins(
    trial: Make, hinge: Path, options: dict[str, Any]
) -> None:
    matrix = {"losses": ("plugin-hinge",), **EPOCH, "seeds": (0, 1), "plugins": (hinge,)}
    here, there = trial("here", **matrix), trial("there", **matrix, **options)
    here.run()
    records = there.run()
    assert [record.succeeded for record in records] == [True, True]
    for mine, theirs in zip(there.folders(), here.folders(), strict=True):
        assert mine.name == theirs.name
        for ours, expected in zip(score_values(mine), score_values(theirs), strict=True):
            assert ours[:-1] == expected[:-1]
            # the number of threads may differ, and with it rounding
            assert ours[-1] == pytest.approx(expected[-1], rel=1e-3, abs=1e-6)


INVALID = [
    ({"models": ("vanila",)}, "unknown model 'vanila': did you mean vanilla?"),
    ({"losses": ("bec",)}, "unknown loss 'bec': did you mean bce?"),
    ({"penalties": ("r2d2",)}, "unknown penalty 'r2d2'"),
    ({"losses": ("wgan-gp",), "penalties": ("none",)}, "--penalties none with loss wgan-gp"),
    ({"dataset": "minst"}, "unknown data set 'minst': did you mean mnist or"),
    ({"metrics": ("fidd",)}, "unknown metric 'fidd': did you mean fid or"),
    ({"extractors": ("inceptoin",)}, "unknown extractor 'inceptoin': did you mean inception?"),
    ({"preset": "quik"}, "unknown preset 'quik': did you mean quick?"),
    ({"executor": "slurm"}, "unknown executor 'slurm'"),
    ({"device": "tpu"}, "tpu"),
    ({"device": "cuda:99"}, "--device cuda:99"),
    ({"precision": "tf32"}, "--precision tf32"),
    ({"precision": "fp8"}, "precision='fp8'"),
    ({"settings": {"widht": 0.5}}, "unknown recipe value 'widht': did you mean width?"),
    ({"settings": {"width": -1}}, "width"),
    ({"models": ("dcgan64",), "image_size": 28}, "64 pixels, not 28"),
    ({"steps": 3}, "--epochs and --steps"),
    ({"batch_size": 513}, "--batch-size 513: synthetic has 512 training images"),
    ({"batch_size": 128, "settings": {"d_steps": 5}}, "a step takes 5 batches); choose at most 102"),
    ({"eval_samples": 16}, "16"),
    ({"eval_draws": 0}, "eval_draws=0"),
    ({"reference_split": "validation"}, "reference_split='validation'"),
    ({"batch_norm": "frozen"}, "batch_norm='frozen'"),
    ({"jobs": 0}, "jobs=0"),
    ({"lanes": 0}, "0"),
    ({"eval_every": 0}, "eval_every=0"),
    ({"plugins": (Path("nowhere.py"),)}, "nowhere.py: no such file"),
]


@pytest.mark.parametrize(
    ("changes", "message"), INVALID, ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else ""
)
def test_invalid_input_is_refused_before_anything_is_written(
    trial: Make, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(gb.InputError) as error:
        trial(**changes).run()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_results_folder_may_be_text_with_a_tilde(
    trial: Make, trained: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_plots: None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small = trial("results", **EPOCH, seeds=(0, 1)).start_from(trained)
    typed = "~/results"
    options = gb.Options(**{**small.options.model_dump(), "out": typed})
    assert options.out == tmp_path / "results"
    assert len(gb.run(small.matrix, options)) == 2
    assert len(gb.load_results(typed)) == 2
    assert gb.write_report(typed).page == tmp_path / "results" / "report" / "index.html"


def test_a_results_folder_that_is_a_file_is_refused(trial: Make) -> None:
    wrong = trial()
    wrong.out.write_text("mine")
    with pytest.raises(gb.InputError, match="is a file; name a folder"):
        wrong.run()
    assert wrong.out.read_text() == "mine"


def test_a_results_folder_below_a_file_is_refused(trial: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(gb.InputError, match="is a file; name a folder"):
        trial("file/below").run()


def test_results_of_schema_1_are_refused_with_one_line(trial: Make) -> None:
    """By every function that reads or writes a results folder, and without a change to it."""
    old = trial()
    (old.out / "runs").mkdir(parents=True)
    (old.out / "store.json").write_text('{"schema_version": 1}')
    calls: list[Callable[[], object]] = [
        old.plan,
        old.run,
        lambda: gb.evaluate(["all"], old.matrix.evaluation(), old.options),
        lambda: gb.load_results(old.out),
        lambda: gb.write_report(old.out),
    ]
    for call in calls:
        with pytest.raises(gb.InputError) as error:
            call()
        assert str(error.value) == (
            f"results folder {old.out}: written by an earlier gan_bench (schema 1; this one reads 2); "
            "choose another --out, or use the version that wrote it"
        )
    assert (old.out / "store.json").read_text() == '{"schema_version": 1}'


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_results_folder_is_refused(trial: Make, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(gb.InputError, match="is not writable; choose another folder"):
        trial("locked/out").run()


def test_without_results_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(gb.InputError, match="it has no results"):
        gb.write_report(tmp_path)
    with pytest.raises(gb.InputError, match="it has no results"):
        gb.load_results(tmp_path / "nowhere")


def test_training_of_an_extractor_is_announced_before_the_first_step(
    trial: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, batch_size=256))
    events: list[Any] = []
    trial(cache_dir=tmp_path / "empty", **EPOCH).run(events.append)
    kinds = [type(event) for event in events]
    assert any("Training extractor synthetic-cnn" in text for text in notices(events)), notices(events)
    assert kinds.index(Notice) < kinds.index(GroupStarted)


def test_the_public_api_is_documented() -> None:
    for name in gb.__all__:
        assert inspect.getdoc(getattr(gb, name)) or name.startswith("__"), name
