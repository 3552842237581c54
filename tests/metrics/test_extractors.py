"""Contract of every extractor; sources of weights and the errors when they are unavailable."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
import torch
from helpers.data_root import DATA_ROOT
from helpers.events import notices_into
from safetensors.torch import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gan_bench.core.errors import InputError
from gan_bench.core.events import ignore_events
from gan_bench.data.base import ImageData, datasets
from gan_bench.metrics.extractors import dataset_cnn, inception, mnist_cnn
from gan_bench.metrics.extractors.base import Extractor, ExtractorContext, extractors
from gan_bench.metrics.extractors.classifier import classifier_bytes, load_classifier
from gan_bench.metrics.extractors.classifier_network import Classifier, init_classifier
from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe, accuracy, train_classifier
from gan_bench.metrics.extractors.lookup import default_extractor, find_extractor

CPU = torch.device("cpu")
NAMES = extractors.names()


def context(data: ImageData, cache: Path, notices: list[str] | None = None) -> ExtractorContext:
    on_event = ignore_events if notices is None else notices_into(notices)
    return ExtractorContext(data, CPU, cache, offline=True, on_event=on_event)


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file with the right names and shapes and random values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, weights: None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = FeatureExtractorInceptionV3("inception", ["2048"], verbose=False)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(net.state_dict(), path)
    save_file(net.state_dict(), path.with_suffix(".safetensors"))
    return path


def data_of(name: str) -> ImageData | None:
    """Return the only data set that an extractor accepts; None for one that accepts the synthetic data set."""
    dataset = find_extractor(name).dataset
    if dataset in (None, "mnist", "synthetic"):
        return None
    if not datasets.get(dataset).is_available(DATA_ROOT):
        pytest.skip(f"{dataset} is not available")
    return datasets.get(dataset).load(DATA_ROOT, offline=True, on_event=ignore_events)


@pytest.fixture
def extractor(
    request: pytest.FixtureRequest, synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Extractor:
    """The extractor of a name; a classifier of a data set is trained for two steps."""
    if request.param == "inception":
        path = request.getfixturevalue("random_inception")
        monkeypatch.setenv(inception.VARIABLE, str(path))
        monkeypatch.setattr(inception, "PUBLISHED_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    for recipe in ("SMALL", "LARGE"):
        monkeypatch.setattr(dataset_cnn, recipe, ClassifierRecipe(epochs=1, max_steps=2, batch_size=32))
    data = data_of(request.param) or synthetic
    return find_extractor(request.param).build(context(data, tmp_path))


def test_built_in_extractors_are_registered() -> None:
    assert {"inception", "mnist-cnn", "synthetic-cnn", "digits-cnn"} <= set(NAMES)


@pytest.mark.parametrize("extractor", NAMES, indirect=True)
def test_extractor_contract(extractor: Extractor, synthetic: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    images = (data_of(extractor.name) or synthetic).test[:12]
    counts: list[int] = []
    whole = extractor(images, counts.append)
    assert sum(counts) == 12
    assert whole.features.shape == (12, extractor.feature_dim)
    assert whole.logits.shape[0] == 12
    for values in (whole.features, whole.logits):
        assert values.dtype == torch.float32
        assert values.isfinite().all()
        assert not values.requires_grad
    assert torch.equal(extractor(images).features, whole.features), "not deterministic"
    monkeypatch.setattr(extractor, "batch_size", 5)
    parts = extractor(images)
    for one, other in ((parts.features, whole.features), (parts.logits, whole.logits)):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))
    assert len(extractor.sha256) == 64
    assert extractor.feature_dim == find_extractor(extractor.name).feature_dim


@pytest.mark.parametrize("extractor", ["mnist-cnn", "synthetic-cnn"], indirect=True)
def test_images_of_other_sizes_are_resized(extractor: Extractor) -> None:
    images = torch.randint(0, 256, (3, 1, 64, 64), dtype=torch.uint8)
    assert extractor(images).features.shape == (3, 128)


def test_every_labelled_data_set_has_a_default_extractor() -> None:
    for name in datasets:
        assert default_extractor(name) in extractors
    assert default_extractor("mnist") == "mnist-cnn"


def test_unknown_extractor_raises_with_the_closest_name() -> None:
    with pytest.raises(InputError, match="did you mean mnist-cnn"):
        find_extractor("mnistcnn")


def test_mnist_cnn_has_its_stated_test_accuracy(mnist: ImageData, tmp_path: Path) -> None:
    extractor = find_extractor("mnist-cnn").build(context(mnist, tmp_path))
    assert mnist.test_labels is not None
    share = (extractor(mnist.test).logits.argmax(1) == mnist.test_labels).float().mean()
    assert float(share) == pytest.approx(mnist_cnn.TEST_ACCURACY, abs=2e-4)
    assert mnist_cnn.TEST_ACCURACY >= 0.993
    assert extractor.n_classes == 10


def test_mnist_cnn_rejects_an_altered_damaged_or_missing_file(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mnist_cnn.WEIGHTS.read_bytes()
    assert len(data) < 2_000_000
    path = tmp_path / "weights.safetensors"
    monkeypatch.setattr(mnist_cnn, "WEIGHTS", path)
    source = find_extractor("mnist-cnn")
    path.write_bytes(data[:-4] + b"\0\0\0\x01")
    with pytest.raises(InputError, match="hash mismatch"):
        source.build(context(synthetic, tmp_path))
    path.write_bytes(data[:1000])
    with pytest.raises(InputError, match="not readable"):
        source.build(context(synthetic, tmp_path))
    path.unlink()
    with pytest.raises(InputError, match="reinstall gan_bench"):
        source.build(context(synthetic, tmp_path))


def test_mnist_cnn_rejects_rgb_images(tmp_path: Path) -> None:
    rgb = datasets.get("synthetic-rgb").load(tmp_path, offline=True, on_event=ignore_events)
    with pytest.raises(InputError, match="synthetic-rgb-cnn"):
        find_extractor("mnist-cnn").check(context(rgb, tmp_path))


def test_classifier_of_another_data_set_is_rejected(synthetic: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--extractors auto"):
        find_extractor("digits-cnn").check(context(synthetic, tmp_path))


def test_classifier_training_is_seeded_and_does_not_use_the_global_generator(synthetic: ImageData) -> None:
    assert synthetic.train_labels is not None
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    recipe = ClassifierRecipe(epochs=1, max_steps=3, batch_size=32)
    one = train_classifier(synthetic.train, synthetic.train_labels, 10, recipe)
    assert torch.equal(torch.rand(4), expected)
    other = train_classifier(synthetic.train, synthetic.train_labels, 10, recipe)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_dataset_cnn_is_trained_once_and_cached_in_a_private_folder(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, max_steps=2, batch_size=32))
    notices: list[str] = []
    source = find_extractor("synthetic-cnn")
    first = source.build(context(synthetic, tmp_path / "c", notices))
    assert any("Training extractor" in text for text in notices)
    assert any("test accuracy" in text for text in notices)
    (path,) = (tmp_path / "c" / "extractors").iterdir()
    assert synthetic.sha256[:16] in path.name
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(dataset_cnn, "train_classifier", lambda *a: pytest.fail("trained twice"))
    assert source.build(context(synthetic, tmp_path / "c")).sha256 == first.sha256


def test_damaged_cache_file_is_replaced_by_a_new_training(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, max_steps=2, batch_size=32))
    source = find_extractor("synthetic-cnn")
    first = source.build(context(synthetic, tmp_path))
    (path,) = (tmp_path / "extractors").iterdir()
    path.write_bytes(path.read_bytes()[:500])
    assert source.build(context(synthetic, tmp_path)).sha256 == first.sha256
    load_classifier(path.read_bytes())


def test_classifier_stored_first_is_used_by_every_process(synthetic: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "extractors" / "x.safetensors"
    nets = [init_classifier(1, 10, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for net in nets:
        stored, _ = dataset_cnn._store(
            path,
            classifier_bytes(net, {"test_accuracy": "0.5", "dataset_sha256": synthetic.sha256}),
            context(synthetic, tmp_path),
        )
        assert torch.equal(stored.head.weight, nets[0].head.weight)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.safetensors"]


def test_dataset_cnn_works_without_a_writable_cache(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, max_steps=1, batch_size=32))
    (tmp_path / "file").write_text("a file, not a folder")
    notices: list[str] = []
    find_extractor("synthetic-cnn").build(context(synthetic, tmp_path / "file", notices))
    assert any("is not cached" in text for text in notices)


def test_classifier_file_round_trip() -> None:
    net = init_classifier(3, 4, torch.Generator().manual_seed(0)).eval()
    loaded, metadata = load_classifier(classifier_bytes(net, {"test_accuracy": "0.25"}))
    assert metadata["test_accuracy"] == "0.25"
    images = torch.rand(2, 3, 28, 28)
    assert all(torch.equal(a, b) for a, b in zip(net(images), loaded(images), strict=True))
    with pytest.raises(ValueError, match="not the weights"):
        load_classifier(b"garbage")


def test_accuracy_is_the_share_of_correct_predictions() -> None:
    class First(Classifier):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, torch.tensor([[1.0, 0.0]]).expand(len(images), 2)

    images = torch.zeros(1500, 1, 28, 28, dtype=torch.uint8)
    labels = (torch.arange(1500) % 3 > 0).long()
    assert accuracy(First(1, 2), images, labels) == pytest.approx(1 / 3)


def test_inception_check_raises_if_weights_are_missing(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_extractor("inception")
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert source.state() == "missing"
    with pytest.raises(InputError, match=rf"--offline or --dry-run was given.*{inception.VARIABLE}"):
        source.check(context(synthetic, tmp_path))
    monkeypatch.setenv(inception.VARIABLE, str(tmp_path / "absent.pth"))
    with pytest.raises(InputError, match="which is not a file"):
        source.check(context(synthetic, tmp_path))


def test_inception_unpickles_the_published_file_only(
    random_inception: Path, synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inception.FILE.endswith(f"-{inception.PUBLISHED_SHA256[:8]}.pth"), "hash of another file"
    monkeypatch.setenv(inception.VARIABLE, str(random_inception))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *args, **options: pytest.fail("unpickled"))
        with pytest.raises(InputError, match=r"not the published file.*\.safetensors"):
            find_extractor("inception").build(context(synthetic, tmp_path))
    monkeypatch.setenv(inception.VARIABLE, str(random_inception.with_suffix(".safetensors")))
    assert find_extractor("inception").build(context(synthetic, tmp_path)).feature_dim == 2048


class _Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_inception_executes_no_code_of_a_weights_file(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "malicious.pth"
    torch.save({"fc.weight": _Malicious()}, path)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(InputError, match="not the weights of inception"):
        find_extractor("inception").build(context(synthetic, tmp_path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04broken"])
def test_inception_rejects_invalid_files(
    content: bytes, synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(InputError, match="not the weights of inception"):
        find_extractor("inception").build(context(synthetic, tmp_path))


def test_stacked_mnist_cnn_names_the_three_digits() -> None:
    source = datasets.get("stacked-mnist")
    if not source.is_available(DATA_ROOT):
        pytest.skip("MNIST is not available")
    data = source.load(DATA_ROOT, offline=True, on_event=ignore_events)
    context = ExtractorContext(data, torch.device("cpu"), Path(), True, ignore_events)
    extractor = find_extractor("stacked-mnist-cnn").build(context)
    assert extractor.n_classes == 1000
    found = extractor(data.test[:300])
    assert data.test_labels is not None
    assert found.features.shape == (300, 384)
    assert found.logits.exp().sum(1).allclose(torch.ones(300), atol=1e-4)
    assert (found.logits.argmax(1) == data.test_labels[:300]).float().mean() > 0.97
