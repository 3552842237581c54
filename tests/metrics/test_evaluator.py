"""Scores with protocol and references; rejected evaluations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.evaluators import make_evaluator, values_of

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import ignore_events
from gan_bench.data.base import ImageData, datasets, resized
from gan_bench.metrics.base import LabelMetric, metrics, resolve_metrics
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import Extractor


def test_scores_carry_protocol_and_references(evaluator: Evaluator, synthetic: ImageData) -> None:
    calls: list[tuple[int, int]] = []
    scores = evaluator.score(
        synthetic.train[:256],
        epoch=3,
        step=99,
        draw=2,
        checkpoint="best",
        progress=lambda done, total: calls.append((done, total)),
    )
    columns = [
        column.name
        for name in resolve_metrics(EvaluationSpec().metrics)
        for column in metrics.get(name).columns
        if not isinstance(metrics.get(name), LabelMetric)
    ]
    assert [score.metric for score in scores] == columns
    assert calls[-1] == (256, 256)
    for score in scores:
        assert (score.epoch, score.step, score.draw) == (3, 99, 2)
        assert (score.checkpoint, score.weights) == ("best", "raw")
        assert score.real_reference is not None
        assert score.noise_reference is not None
        assert score.protocol == scores[0].protocol
    protocol = scores[0].protocol
    assert (protocol.dataset, protocol.dataset_sha256) == ("synthetic", synthetic.sha256)
    assert (protocol.n_real, protocol.n_fake, protocol.reference_split) == (256, 256, "test")
    assert (protocol.weights, protocol.batch_norm, protocol.kid_subset_size) == ("raw", "running", 128)
    assert protocol.protocol_version == 2
    assert (protocol.extractor, protocol.resize) == ("synthetic-cnn", "bilinear-antialias to 28x28")
    fid = next(score for score in scores if score.metric == "fid")
    assert fid.real_reference < fid.noise_reference  # type: ignore[operator]


def test_images_with_labels_have_the_accuracy_of_their_classes(evaluator: Evaluator, synthetic: ImageData) -> None:
    images, labels = synthetic.train[:256], synthetic.train_labels[:256]
    right, wrong = (evaluator.score(images, epoch=1, step=1, labels=each) for each in (labels, (labels + 1) % 10))
    assert values_of(right)["class_accuracy"] > 0.9
    assert values_of(wrong)["class_accuracy"] < 0.1
    score = next(score for score in right if score.metric == "class_accuracy")
    assert 0.9 < score.real_reference <= 1
    assert score.noise_reference is None


def test_scores_are_deterministic(evaluator: Evaluator, synthetic: ImageData) -> None:
    images = synthetic.train[100:356]
    assert evaluator.score(images, epoch=1, step=1) == evaluator.score(images, epoch=1, step=1)


def test_images_are_resized_to_the_native_size(evaluator: Evaluator, synthetic: ImageData) -> None:
    large = resized(synthetic.train[:256], 64)
    small = resized(large, 28)
    assert evaluator.score(large, epoch=1, step=1) == evaluator.score(small, epoch=1, step=1)


def test_extractor_processes_each_image_once(
    evaluator: Evaluator, synthetic: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    processed = 0
    original = Extractor.__call__

    def counting(self: Extractor, images: torch.Tensor, counter: object = None) -> object:
        nonlocal processed
        processed += len(images)
        return original(self, images)

    monkeypatch.setattr(Extractor, "__call__", counting)
    evaluator.score(synthetic.train[:256], epoch=1, step=1)
    assert processed == 256


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(256, 1, 28, 28), "torch.float32: give uint8 from 0 to 255"),
        (torch.zeros(256, 28, 28, dtype=torch.uint8), r"give \[256, 1, H, W\]"),
        (torch.zeros(256, 3, 28, 28, dtype=torch.uint8), r"give \[256, 1, H, W\]"),
        (torch.zeros(255, 1, 28, 28, dtype=torch.uint8), "got 255 images"),
    ],
)
def test_images_of_wrong_dtype_shape_or_count_raise(
    evaluator: Evaluator, images: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator.score(images, epoch=1, step=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": ("fdi",)}, "unknown metric"),
        ({"extractors": ("incept",)}, "did you mean inception"),
        ({"samples": 100}, "129"),
        ({"extractors": ("digits-cnn",)}, "trained on digits"),
        ({"extractors": ("mnist-cnn",), "metrics": ("modes",)}, "not the classes of synthetic"),
    ],
)
def test_impossible_evaluations_raise_on_construction(
    values: dict[str, object], message: str, synthetic: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        make_evaluator(synthetic, tmp_path, **values)


def test_inception_without_weights_raises_on_construction(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_BENCH_INCEPTION_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="not a file"):
        make_evaluator(synthetic, tmp_path, extractors=("inception",), metrics=("is",))


def test_modes_is_skipped_for_an_extractor_of_other_classes(synthetic: ImageData, tmp_path: Path) -> None:
    made = make_evaluator(synthetic, tmp_path, extractors=("mnist-cnn",), metrics=("is", "modes"))
    scores = made.score(synthetic.train[:256], epoch=1, step=1)
    assert set(values_of(scores)) == {"inception_score_mean", "inception_score_std"}


def test_two_extractors_are_two_protocols(synthetic: ImageData, cache: Path, evaluator: Evaluator) -> None:
    made = make_evaluator(
        synthetic, cache, extractors=("auto", "synthetic-cnn", "mnist-cnn"), metrics=("is", "fid")
    )
    scores = made.score(synthetic.train[:256], epoch=1, step=1)
    assert len({score.protocol.protocol_id for score in scores}) == 2
    assert len(scores) == 6


def test_rgb_data_set_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_bench.metrics.extractors import dataset_cnn
    from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe

    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, max_steps=3, batch_size=32))
    data = datasets.get("synthetic-rgb").load(tmp_path, offline=True, on_event=ignore_events)
    scores = make_evaluator(data, tmp_path, metrics=("is", "fid")).score(data.train[:256], epoch=1, step=1)
    assert scores[0].protocol.extractor == "synthetic-rgb-cnn"


@pytest.mark.slow
def test_real_mnist_images_score_near_the_real_reference(mnist_evaluator: Evaluator, mnist: ImageData) -> None:
    scores = {s.metric: s for s in mnist_evaluator.score(mnist.train[::120], epoch=1, step=1)}
    assert scores["fid"].value < 3 * scores["fid"].real_reference < scores["fid"].noise_reference / 20  # type: ignore[operator]
    assert scores["inception_score_mean"].value > 8  # of 10, minus the bias of small splits
    assert scores["modes_covered"].value == 10
