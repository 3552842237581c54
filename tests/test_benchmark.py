"""The Python API on whole matrices: what is written, what is done twice (nothing), what is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from whole_runs import Trial, learned, scored

import gan_bench as gb

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
]
REPORT_FILES = [
    "index.html",
    "leaderboard.csv",
    "report.md",
    "runs.csv",
    "runs.parquet",
    "scores.csv",
    "summary.csv",
]
COLUMNS = """
    run_id model loss dataset image_size seed lr_g lr_d batch_size steps epochs status verdict fid
    inception_score_mean inception_score_std kid_mean precision recall modes_covered extractor n_real n_fake
    epoch_seconds_median train_seconds images_per_second eval_seconds peak_memory_bytes g_params d_params device
    train_precision lanes attempts torch_version gan_bench_version commit
"""


def times(trial: Trial) -> dict[str, int]:
    return {folder.name: (folder / "record.json").stat().st_mtime_ns for folder in trial.folders()}


def test_every_file_of_the_contract_is_there(trial: Make) -> None:
    small = trial()
    (record,) = small.run()
    assert (record.status, record.steps, record.epochs) == ("done", 16, 4)
    (folder,) = small.folders()
    assert [name for name in RUN_FILES if not (folder / name).is_file()] == []
    assert not list(small.out.rglob("*.pkl")) + list(small.out.rglob("*.pt")) + list(small.out.rglob("*.part"))
    paths = gb.write_report(small.out)
    assert [name for name in REPORT_FILES if not (small.out / "report" / name).is_file()] == []
    for picture in [*(folder / "samples").iterdir(), *(path for path in paths.plots if path.suffix == ".png")]:
        with Image.open(picture) as image:
            image.load()
            assert min(image.size) > 0
    assert record.run_id in (small.out / "report" / "runs.csv").read_text()


def test_results_load_as_one_row_a_run(trial: Make) -> None:
    small = trial(seeds=(0, 1), epochs=1)
    small.run()
    frame = gb.load_results(small.out)
    assert [column for column in COLUMNS.split() if column not in frame] == []
    assert frame["seed"].tolist() == [0, 1]
    scores = ["fid", "inception_score_mean", "kid_mean", "precision", "recall", "modes_covered"]
    assert frame[scores].map(math.isfinite).to_numpy().all()
    assert (frame["n_real"].tolist(), frame["n_fake"].tolist()) == ([160, 160], [160, 160])
    assert frame["fid"].nunique() == 2
    gb.write_report(small.out)
    assert list(pd.read_csv(small.out / "report" / "runs.csv").columns) == list(frame.columns)


def test_the_same_matrix_again_does_nothing(trial: Make) -> None:
    small = trial(seeds=(0, 1), epochs=1)
    first = small.run()
    before = times(small)
    heard = []
    assert small.run(heard.append) == first
    assert times(small) == before
    assert not [news for news in heard if news.kind in ("group", "step", "epoch", "finished")]
    assert small.plan().groups == ()


def test_another_seed_adds_one_run(trial: Make) -> None:
    trial(epochs=1).run()
    wider = trial(epochs=1, seeds=(0, 1))
    before = times(wider)
    assert [spec.seed for group in wider.plan().groups for spec in group.specs] == [1]
    assert [record.status for record in wider.run()] == ["done", "done"]
    after = times(wider)
    assert len(after) == 2
    assert before.items() <= after.items()


def test_fresh_trains_anew_and_finds_the_same(trial: Make) -> None:
    small = trial(epochs=1)
    small.run()
    before, lines = times(small), learned(small.folders()[0])
    trial(epochs=1, fresh=True).run()
    assert times(small) != before
    assert learned(small.folders()[0]) == lines


def test_a_plan_writes_nothing(trial: Make) -> None:
    small = trial(seeds=(0, 1, 2), lrs=((1e-4, 1e-4), (2e-4, 2e-4)))
    plan = small.plan()
    assert len(plan.specs) == len(plan.groups) == 6
    assert plan.finished == ()
    assert not small.out.exists()


def test_the_data_set_that_auto_takes_is_recorded_and_said(trial: Make, tmp_path: Path) -> None:
    heard = []
    offline = trial(dataset="auto", extractors=("mnist-cnn",), epochs=1, data_root=tmp_path / "empty")
    (record,) = offline.run(heard.append)
    assert record.dataset_requested == "auto"
    assert "digits28" in record.run_id
    assert any("digits" in news.text and "INSTEAD" in news.text for news in heard if news.kind == "notice")
    assert "MNIST was not at hand" in gb.write_report(offline.out).markdown.read_text()


@pytest.fixture
def hinge(tmp_path: Path, borrowed_registries: None) -> Path:
    """A plugin file that adds a loss."""
    file = tmp_path / "hinge.py"
    file.write_text(
        "from gan_bench.losses.loss import Loss, losses\n"
        "@losses.register('plugin-hinge')\n"
        "class Hinge(Loss):\n"
        "    title, paper = 'Hinge', 'arXiv 1705.02894'\n"
        "    def discriminator(self, real_logits, fake_logits):\n"
        "        return (1 - real_logits).relu().mean(-1) + (1 + fake_logits).relu().mean(-1)\n"
        "    def generator(self, fake_logits):\n"
        "        return -fake_logits.mean(-1)\n"
    )
    return file


def test_a_plugin_file_adds_a_loss(trial: Make, hinge: Path) -> None:
    added = trial(losses=("plugin-hinge",), epochs=1, plugins=(hinge,))
    (record,) = added.run()
    assert record.status == "done"
    assert added.run() == [record], "named again in the same process, the file is not run again"


def test_two_jobs_find_the_same_as_one_plugins_and_all(trial: Make, hinge: Path) -> None:
    matrix = {"losses": ("plugin-hinge",), "epochs": 1, "seeds": (0, 1)}
    one, two = trial("one", plugins=(hinge,), **matrix), trial("two", plugins=(hinge,), jobs=2, **matrix)
    one.run()
    records = two.run()
    assert [record.status for record in records] == ["done", "done"]
    for mine, theirs in zip(two.folders(), one.folders(), strict=True):
        assert mine.name == theirs.name
        for ours, expected in zip(scored(mine), scored(theirs), strict=True):
            assert ours[:3] == expected[:3]
            assert ours[3] == pytest.approx(expected[3], rel=1e-3, abs=1e-6)  # other thread counts, other rounding


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ("vanila",)}, "unknown model 'vanila': did you mean vanilla?"),
        ({"losses": ("bec",)}, "unknown loss 'bec': did you mean bce?"),
        ({"dataset": "minst"}, "unknown data set 'minst': did you mean mnist or"),
        ({"metrics": ("fidd",)}, "unknown metric 'fidd': did you mean fid or"),
        ({"extractors": ("inceptoin",)}, "unknown extractor 'inceptoin': did you mean inception?"),
        ({"preset": "quik"}, "unknown preset 'quik': did you mean quick?"),
        ({"executor": "slurm"}, "unknown executor 'slurm'"),
        ({"device": "tpu"}, "tpu"),
        ({"device": "cuda:99"}, "--device cuda:99: it is not there"),
        ({"precision": "tf32"}, "--precision tf32"),
        ({"settings": {"widht": 0.5}}, "unknown recipe value 'widht': did you mean width?"),
        ({"settings": {"width": -1}}, "width"),
        ({"models": ("dcgan64",), "image_size": 28}, "64 pixels, not 28"),
        ({"steps": 3}, "--epochs and --steps"),
        ({"batch_size": 513}, "--batch-size 513: synthetic has 512 training images; choose at most 512"),
        ({"eval_samples": 16}, "16"),
        ({"jobs": 0}, "--jobs 0"),
        ({"lanes": 0}, "--lanes 0"),
        ({"plugins": (Path("nowhere.py"),)}, "--plugin nowhere.py: there is no such file"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_refused_before_anything_is_written(
    trial: Make, changes: dict[str, object], said: str
) -> None:
    wrong = trial(**changes)
    with pytest.raises(gb.InputError) as refused:
        wrong.run()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not wrong.out.exists()


def test_results_cannot_go_where_a_file_is(trial: Make) -> None:
    wrong = trial()
    wrong.out.write_text("mine")
    with pytest.raises(gb.InputError, match="is a file; name a folder"):
        wrong.run()
    assert wrong.out.read_text() == "mine"


def test_results_cannot_go_below_a_file(trial: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(gb.InputError, match="is a file; name a folder"):
        trial("file/below").run()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_results_cannot_go_where_nobody_may_write(trial: Make, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(gb.InputError, match="can't be written to"):
        trial("locked/out").run()


def test_there_is_no_report_without_results(tmp_path: Path) -> None:
    with pytest.raises(gb.InputError, match="no results there"):
        gb.write_report(tmp_path)
    with pytest.raises(gb.InputError, match="no results there"):
        gb.load_results(tmp_path / "nowhere")


def test_what_takes_long_is_announced(trial, tmp_path):
    """A classifier that has to be trained first is told of, before the first step of any run."""
    heard = []
    trial(cache_dir=tmp_path / "empty", epochs=1).run(heard.append)
    kinds = [news.kind for news in heard]
    said = [news.text for news in heard if news.kind == "notice"]
    assert any("training extractor synthetic-cnn" in text for text in said), said
    assert kinds.index("notice") < kinds.index("group")
