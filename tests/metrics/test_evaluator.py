"""Scores with their protocol, what is refused before anything starts, and what is kept between invocations."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import torch

from gan_bench.data.dataset import ImageData, datasets, resized
from gan_bench.errors import InputError
from gan_bench.metrics.evaluator import Evaluator, _subset
from gan_bench.metrics.extractors.extractor import Extractor
from gan_bench.metrics.metric import metrics, resolve_metrics
from gan_bench.record import Score
from gan_bench.spec import Evaluation

CPU = torch.device("cpu")


def make(data: ImageData, cache: Path, said: list[str] | None = None, **plan: object) -> Evaluator:
    wanted = Evaluation(**{"extractors": ("auto",), "samples": 256, **plan})  # type: ignore[arg-type]
    notify = print if said is None else said.append
    return Evaluator(data, wanted, device=CPU, cache_dir=cache, offline=True, notify=notify)


def values(scores: list[Score]) -> dict[str, float]:
    return {score.metric: score.value for score in scores}


def test_every_score_carries_its_protocol_floor_and_noise(evaluator: Evaluator, synthetic: ImageData) -> None:
    seen: list[tuple[int, int]] = []
    scores = evaluator.score(
        synthetic.train[:256],
        epoch=3,
        step=99,
        checkpoint="best",
        progress=lambda done, total: seen.append((done, total)),
    )
    columns = [
        column.name for name in resolve_metrics(Evaluation().metrics) for column in metrics.get(name).columns
    ]
    assert [score.metric for score in scores] == columns
    assert seen[-1] == (256, 256)
    for score in scores:
        assert (score.epoch, score.step, score.checkpoint) == (3, 99, "best")
        assert score.floor is not None
        assert score.noise is not None
        assert score.protocol == scores[0].protocol
    protocol = scores[0].protocol
    assert (protocol.dataset, protocol.dataset_sha256) == ("synthetic", synthetic.sha256)
    assert (protocol.n_real, protocol.n_fake, protocol.reference_split) == (256, 256, "test")
    assert (protocol.extractor, protocol.resize) == ("synthetic-cnn", "bilinear-antialias to 28x28")
    fid = next(score for score in scores if score.metric == "fid")
    assert fid.floor < fid.noise  # type: ignore[operator]


def test_counts_are_held_to_what_the_data_set_has(synthetic: ImageData, tmp_path: Path) -> None:
    found = make(synthetic, tmp_path, samples=10_000)
    assert (found.n_fake, found.n_real) == (512, 256)
    found = make(synthetic, tmp_path, samples=200)
    assert (found.n_fake, found.n_real) == (200, 200)


def test_scores_are_the_same_twice(evaluator: Evaluator, synthetic: ImageData) -> None:
    images = synthetic.train[100:356]
    assert evaluator.score(images, epoch=1, step=1) == evaluator.score(images, epoch=1, step=1)


def test_larger_images_come_back_to_the_native_size(evaluator: Evaluator, synthetic: ImageData) -> None:
    large = resized(synthetic.train[:256], 64)
    small = resized(large, 28)
    assert evaluator.score(large, epoch=1, step=1) == evaluator.score(small, epoch=1, step=1)


def test_the_extractor_sees_each_image_once(
    evaluator: Evaluator, synthetic: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = 0
    original = Extractor.__call__

    def counted(self: Extractor, images: torch.Tensor, advance: object = None) -> object:
        nonlocal seen
        seen += len(images)
        return original(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    evaluator.score(synthetic.train[:256], epoch=1, step=1)
    assert seen == 256


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (torch.rand(256, 1, 28, 28), "torch.float32: give uint8 from 0 to 255"),
        (torch.zeros(256, 28, 28, dtype=torch.uint8), r"give \[256, 1, H, W\]"),
        (torch.zeros(256, 3, 28, 28, dtype=torch.uint8), r"give \[256, 1, H, W\]"),
        (torch.zeros(255, 1, 28, 28, dtype=torch.uint8), "there are 255 images"),
    ],
)
def test_wrong_images_are_refused(evaluator: Evaluator, images: torch.Tensor, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        evaluator.score(images, epoch=1, step=1)


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ({"metrics": ("fdi",)}, "unknown metric"),
        ({"extractors": ("incept",)}, "did you mean inception"),
        ({"samples": 100}, "129"),
        ({"extractors": ("digits-cnn",)}, "made from digits"),
        ({"extractors": ("mnist-cnn",), "metrics": ("modes",)}, "does not know the classes of synthetic"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    plan: dict[str, object], complaint: str, synthetic: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=complaint):
        make(synthetic, tmp_path, **plan)


def test_inception_without_weights_is_refused_at_once(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_BENCH_INCEPTION_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="no file"):
        make(synthetic, tmp_path, extractors=("inception",), metrics=("is",))


def test_modes_is_skipped_where_the_classes_are_foreign(synthetic: ImageData, tmp_path: Path) -> None:
    found = make(synthetic, tmp_path, extractors=("mnist-cnn",), metrics=("is", "modes"))
    scores = found.score(synthetic.train[:256], epoch=1, step=1)
    assert set(values(scores)) == {"inception_score_mean", "inception_score_std"}


def test_two_extractors_are_two_protocols(synthetic: ImageData, cache: Path, evaluator: Evaluator) -> None:
    found = make(synthetic, cache, extractors=("auto", "synthetic-cnn", "mnist-cnn"), metrics=("is", "fid"))
    scores = found.score(synthetic.train[:256], epoch=1, step=1)
    assert len({score.protocol.protocol_id for score in scores}) == 2
    assert len(scores) == 6


def test_real_features_and_baselines_are_computed_once(
    synthetic: ImageData, cache: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluator.score(synthetic.train[:256], epoch=1, step=1)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {path.suffix for path in cache.iterdir() if path.is_file()} == {".safetensors", ".json"}
    again = make(synthetic, cache)
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "__call__", lambda *a: pytest.fail("features were computed again"))
        seen: list[tuple[int, int]] = []
        again.prepare(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3 * 256, 3 * 256)
    assert again.score(synthetic.train[:256], epoch=1, step=1) == expected


def test_a_torn_cache_is_computed_anew(synthetic: ImageData, cache: Path, tmp_path: Path) -> None:
    plan: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("fid",)}
    expected = make(synthetic, tmp_path, **plan).score(synthetic.train[:256], epoch=1, step=1)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert make(synthetic, tmp_path, **plan).score(synthetic.train[:256], epoch=1, step=1) == expected


def test_a_cache_that_cannot_be_written_is_said_once_and_costs_no_run(
    synthetic: ImageData, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    said: list[str] = []
    found = make(synthetic, tmp_path / "file", said, extractors=("mnist-cnn",), metrics=("is",))
    found.score(synthetic.train[:256], epoch=1, step=1)
    assert len([line for line in said if "can't be kept" in line]) == 1


def test_other_content_is_another_key(synthetic: ImageData, tmp_path: Path) -> None:
    other = ImageData.of(
        "synthetic",
        (synthetic.train, synthetic.train_labels),
        (255 - synthetic.test, synthetic.test_labels),
        n_classes=10,
        source="",
    )
    plan: dict[str, object] = {"extractors": ("mnist-cnn",), "metrics": ("fid",)}
    one = make(synthetic, tmp_path, **plan).score(synthetic.train[:256], epoch=1, step=1)
    two = make(other, tmp_path, **plan).score(synthetic.train[:256], epoch=1, step=1)
    assert one[0].protocol.protocol_id != two[0].protocol.protocol_id
    assert two[0].value > 2 * one[0].value


def test_colour_has_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_bench.metrics.extractors import dataset_cnn
    from gan_bench.metrics.extractors.fitting import Fit

    monkeypatch.setattr(dataset_cnn, "SMALL", Fit(epochs=1, max_steps=3, batch_size=32))
    data = datasets.get("synthetic-rgb").load(tmp_path, offline=True, notify=print)
    scores = make(data, tmp_path, metrics=("is", "fid")).score(data.train[:256], epoch=1, step=1)
    assert scores[0].protocol.extractor == "synthetic-rgb-cnn"


def test_real_mnist_scores_near_the_floor(mnist_evaluator: Evaluator, mnist: ImageData) -> None:
    scores = {s.metric: s for s in mnist_evaluator.score(mnist.train[::120], epoch=1, step=1)}
    assert scores["fid"].value < 3 * scores["fid"].floor < scores["fid"].noise / 20  # type: ignore[operator]
    assert scores["inception_score_mean"].value > 8  # of 10, less the small splits
    assert scores["modes_covered"].value == 10


def test_subsets_are_drawn_at_random_and_always_the_same() -> None:
    """The halves of MNIST's test split differ in difficulty: the first images are no fair sample."""
    rows = _subset(1000, 300)
    assert torch.equal(rows, _subset(1000, 300))
    assert len(rows.unique()) == 300
    assert rows.max() >= 900
