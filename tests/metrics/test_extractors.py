"""What every extractor must keep to, where its weights come from, and what is said when they don't come."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gan_bench.data.dataset import ImageData, datasets
from gan_bench.errors import InputError
from gan_bench.metrics.extractors import dataset_cnn, inception, mnist_cnn
from gan_bench.metrics.extractors.classifier import packed, unpacked
from gan_bench.metrics.extractors.extractor import Context, Extractor, extractors
from gan_bench.metrics.extractors.find import default_extractor, find_extractor
from gan_bench.metrics.extractors.fitting import Fit, accuracy, fit_classifier
from gan_bench.metrics.extractors.network import Classifier, initialised

CPU = torch.device("cpu")
NAMES = ["mnist-cnn", "synthetic-cnn", "inception"]


def context(data: ImageData, cache: Path, said: list[str] | None = None) -> Context:
    return Context(data, CPU, cache, offline=True, notify=print if said is None else said.append)


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the right form, with random values."""
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


@pytest.fixture
def extractor(
    request: pytest.FixtureRequest, synthetic: ImageData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Extractor:
    if request.param == "inception":
        path = request.getfixturevalue("random_inception")
        monkeypatch.setenv(inception.VARIABLE, str(path))
        monkeypatch.setattr(inception, "PUBLISHED_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return find_extractor(request.param).build(context(synthetic, cache))


@pytest.mark.parametrize("extractor", NAMES, indirect=True)
def test_contract(extractor: Extractor, synthetic: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    images = synthetic.test[:12]
    seen: list[int] = []
    whole = extractor(images, seen.append)
    assert sum(seen) == 12
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


def test_every_labelled_data_set_has_its_own() -> None:
    for name in datasets:
        assert default_extractor(name) in extractors
    assert default_extractor("mnist") == "mnist-cnn"


def test_unknown_extractors_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean mnist-cnn"):
        find_extractor("mnistcnn")


def test_mnist_cnn_is_as_accurate_as_it_says(mnist: ImageData, tmp_path: Path) -> None:
    extractor = find_extractor("mnist-cnn").build(context(mnist, tmp_path))
    assert mnist.test_labels is not None
    found = (extractor(mnist.test).logits.argmax(1) == mnist.test_labels).float().mean()
    assert float(found) == pytest.approx(mnist_cnn.TEST_ACCURACY, abs=2e-4)
    assert mnist_cnn.TEST_ACCURACY >= 0.993
    assert extractor.n_classes == 10


def test_mnist_cnn_file_is_checked(synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = mnist_cnn.WEIGHTS.read_bytes()
    assert len(data) < 2_000_000
    path = tmp_path / "weights.safetensors"
    monkeypatch.setattr(mnist_cnn, "WEIGHTS", path)
    source = find_extractor("mnist-cnn")
    path.write_bytes(data[:-4] + b"\0\0\0\x01")
    with pytest.raises(InputError, match="hash is wrong"):
        source.build(context(synthetic, tmp_path))
    path.write_bytes(data[:1000])
    with pytest.raises(InputError, match="can't be read"):
        source.build(context(synthetic, tmp_path))
    path.unlink()
    assert not source.at_hand()
    with pytest.raises(InputError, match="install gan_bench anew"):
        source.build(context(synthetic, tmp_path))


def test_mnist_cnn_refuses_colours(tmp_path: Path) -> None:
    colours = datasets.get("synthetic-rgb").load(tmp_path, offline=True, notify=print)
    with pytest.raises(InputError, match="synthetic-rgb-cnn"):
        find_extractor("mnist-cnn").check(context(colours, tmp_path))


def test_a_classifier_of_another_data_set_is_refused(synthetic: ImageData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--extractors auto"):
        find_extractor("digits-cnn").check(context(synthetic, tmp_path))


def test_training_is_seeded_and_leaves_the_global_generator_alone(synthetic: ImageData) -> None:
    assert synthetic.train_labels is not None
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    fit = Fit(epochs=1, max_steps=3, batch_size=32)
    one = fit_classifier(synthetic.train, synthetic.train_labels, 10, fit)
    assert torch.equal(torch.rand(4), expected)
    other = fit_classifier(synthetic.train, synthetic.train_labels, 10, fit)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_trained_once_then_kept_in_a_private_folder(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", Fit(epochs=1, max_steps=2, batch_size=32))
    said: list[str] = []
    source = find_extractor("synthetic-cnn")
    first = source.build(context(synthetic, tmp_path / "c", said))
    assert any("training" in line for line in said)
    assert any("% of the test images right" in line for line in said)
    (path,) = (tmp_path / "c" / "extractors").iterdir()
    assert synthetic.sha256[:16] in path.name
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(dataset_cnn, "fit_classifier", lambda *a: pytest.fail("trained twice"))
    assert source.build(context(synthetic, tmp_path / "c")).sha256 == first.sha256


def test_a_torn_file_is_trained_again(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", Fit(epochs=1, max_steps=2, batch_size=32))
    source = find_extractor("synthetic-cnn")
    first = source.build(context(synthetic, tmp_path))
    (path,) = (tmp_path / "extractors").iterdir()
    path.write_bytes(path.read_bytes()[:500])
    assert source.build(context(synthetic, tmp_path)).sha256 == first.sha256
    unpacked(path.read_bytes())


def test_the_first_of_two_processes_wins(synthetic: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "extractors" / "x.safetensors"
    nets = [initialised(1, 10, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for net in nets:
        kept, _ = dataset_cnn._keep(path, packed(net, {"test_accuracy": "0.5"}), context(synthetic, tmp_path))
        assert torch.equal(kept.head.weight, nets[0].head.weight)
    assert [entry.name for entry in path.parent.iterdir()] == ["x.safetensors"]


def test_a_cache_that_cannot_be_written_costs_no_run(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", Fit(epochs=1, max_steps=1, batch_size=32))
    (tmp_path / "file").write_text("in the way of the folder")
    said: list[str] = []
    find_extractor("synthetic-cnn").build(context(synthetic, tmp_path / "file", said))
    assert any("can't be kept" in line for line in said)


def test_weights_survive_the_file() -> None:
    net = initialised(3, 4, torch.Generator().manual_seed(0)).eval()
    back, notes = unpacked(packed(net, {"test_accuracy": "0.25"}))
    assert notes["test_accuracy"] == "0.25"
    images = torch.rand(2, 3, 28, 28)
    assert all(torch.equal(a, b) for a, b in zip(net(images), back(images), strict=True))
    with pytest.raises(ValueError, match="not the weights"):
        unpacked(b"garbage")


def test_accuracy_counts() -> None:
    class First(Classifier):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, torch.tensor([[1.0, 0.0]]).expand(len(images), 2)

    images = torch.zeros(1500, 1, 28, 28, dtype=torch.uint8)
    labels = (torch.arange(1500) % 3 > 0).long()
    assert accuracy(First(1, 2), images, labels) == pytest.approx(1 / 3)


def test_inception_tells_at_once_that_its_weights_cannot_be_had(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_extractor("inception")
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not source.at_hand()
    with pytest.raises(InputError, match=rf"--offline was given.*{inception.VARIABLE}"):
        source.check(context(synthetic, tmp_path))
    monkeypatch.setenv(inception.VARIABLE, str(tmp_path / "absent.pth"))
    with pytest.raises(InputError, match="which is no file"):
        source.check(context(synthetic, tmp_path))


def test_of_pickles_only_the_published_weights_are_looked_at(
    random_inception: Path, synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inception.FILE.endswith(f"-{inception.PUBLISHED_SHA256[:8]}.pth"), "the sum is another file's"
    monkeypatch.setenv(inception.VARIABLE, str(random_inception))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *given, **options: pytest.fail("it was unpickled"))
        with pytest.raises(InputError, match=r"not the published file.*\.safetensors"):
            find_extractor("inception").build(context(synthetic, tmp_path))
    monkeypatch.setenv(inception.VARIABLE, str(random_inception.with_suffix(".safetensors")))
    assert find_extractor("inception").build(context(synthetic, tmp_path)).feature_dim == 2048


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil",)


def test_inception_runs_nothing_that_a_weights_file_holds(
    synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    torch.save({"fc.weight": _Evil()}, path)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(InputError, match="does not hold the weights of inception"):
        find_extractor("inception").build(context(synthetic, tmp_path))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04broken"])
def test_inception_refuses_garbage(
    content: bytes, synthetic: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(InputError, match="does not hold the weights of inception"):
        find_extractor("inception").build(context(synthetic, tmp_path))
