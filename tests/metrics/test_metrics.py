"""Contract of every metric, and agreement with torch-fidelity."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_bench.core.errors import InputError
from gan_bench.data.base import ImageData
from gan_bench.metrics import neighbours
from gan_bench.metrics.base import ImageMetric, LabelMetric, TrainingImages, metrics, resolve_metrics
from gan_bench.metrics.copies import duplicate_share
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import ExtractorContext, Features
from gan_bench.metrics.extractors.classifier import ClassifierExtractor
from gan_bench.metrics.extractors.lookup import find_extractor
from gan_bench.metrics.fidelity import SEED
from gan_bench.metrics.kid import SUBSETS, subset_size

IMAGE_NAMES = [name for name in metrics if isinstance(metrics.get(name), ImageMetric)]
LABEL_NAMES = [name for name in metrics if isinstance(metrics.get(name), LabelMetric)]
NAMES = [name for name in metrics if name not in (*IMAGE_NAMES, *LABEL_NAMES)]


def features(n: int, seed: int = 0, dim: int = 16, classes: int = 5) -> Features:
    rng = torch.Generator().manual_seed(seed)
    return Features(torch.randn(n, dim, generator=rng), 3 * torch.randn(n, classes, generator=rng))


def add_noise(images: Tensor, share: float) -> Tensor:
    noise = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    return (images * (1 - share) + noise * share).round().to(torch.uint8)


def fid(real: Tensor, fake: Tensor) -> float:
    logits = torch.zeros(1, 1)
    return metrics.get("fid").bind(Features(real, logits))(Features(fake, logits))["fid"]


def test_built_in_metrics_are_registered() -> None:
    assert {"dc", "fid", "is", "kid", "modes", "prc"} <= set(NAMES)
    assert {"copies", "feature-copies"} <= set(IMAGE_NAMES)
    assert {"class-accuracy", "class-fid"} <= set(LABEL_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_metric_contract(name: str) -> None:
    metric = metrics.get(name)
    fake = features(60, 1)
    values = metric.bind(features(80))(fake)
    assert set(values) == {column.name for column in metric.columns}
    assert all(isinstance(value, float) and math.isfinite(value) for value in values.values())
    assert dict(values) == dict(metric.bind(features(80))(fake)), "not deterministic"


@pytest.mark.parametrize("name", LABEL_NAMES)
def test_label_metric_contract(name: str) -> None:
    metric = metrics.get(name)
    assert isinstance(metric, LabelMetric)
    assert metric.needs_classes
    real, fake, labels = features(200), features(150, 1), torch.arange(200) % 5
    values = metric.bind_labels(real, labels)(fake, labels[:150])
    assert set(values) == {column.name for column in metric.columns}
    assert all(isinstance(value, float) and math.isfinite(value) for value in values.values())
    assert dict(values) == dict(metric.bind_labels(real, labels)(fake, labels[:150])), "not deterministic"


def test_class_accuracy_is_the_share_of_images_of_the_asked_class() -> None:
    logits = torch.eye(4)[[0, 1, 2, 3, 3, 3, 1, 0]]
    fake, asked = Features(torch.zeros(8, 2), logits), torch.tensor([0, 1, 2, 3, 3, 0, 0, 0])
    metric = metrics.get("class-accuracy")
    assert metric.bind_labels(fake, asked)(fake, asked) == {"class_accuracy": 6 / 8}


def test_class_fid_is_the_mean_over_the_classes() -> None:
    real, fake, labels = features(120), features(90, 1), torch.arange(120) % 3
    expected = [fid(real.features[labels == label], fake.features[labels[:90] == label]) for label in range(3)]
    found = metrics.get("class-fid").bind_labels(real, labels)(fake, labels[:90])
    assert found["class_fid"] == pytest.approx(sum(expected) / 3, rel=1e-12)


def test_class_fid_names_a_class_with_too_few_images() -> None:
    labels = torch.tensor([0] * 40 + [1] * 10)
    with pytest.raises(InputError, match=r"at least 17 images of each class.* 10 real ones of class 1"):
        metrics.get("class-fid").bind_labels(features(50), labels)


def images_with_features(n: int, seed: int) -> tuple[Tensor, Features]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 6, 6), generator=rng, dtype=torch.uint8), features(n, seed)


def training_images(n: int = 120) -> TrainingImages:
    (train, of_train), (held_out, of_held_out) = images_with_features(n, 0), images_with_features(60, 1)
    return TrainingImages(
        train,
        held_out,
        lambda: of_train.features,
        lambda: of_held_out.features,
        torch.device("cpu"),
        lambda name, compute: compute(),
    )


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_image_metric_contract(name: str) -> None:
    metric = metrics.get(name)
    assert isinstance(metric, ImageMetric)
    bound, fake = metric.bind_images(training_images()), images_with_features(40, 2)
    values = bound.values(*fake)
    assert set(values) == set(bound.real_reference) == {column.name for column in metric.columns}
    for found in (values, bound.real_reference):
        assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
    assert dict(values) == dict(metric.bind_images(training_images()).values(*fake)), "not deterministic"


def plain_nearness(query: Tensor, train: Tensor, neighbours: int) -> float:
    """The distance to the nearest training image over the mean of the nearest ones, in float64."""
    distances = sorted(float((query.double() - other.double()).norm()) for other in train)[:neighbours]
    return distances[0] / (sum(distances) / len(distances))


def test_copies_equal_the_plain_formula_for_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_images()
    images, of_images = images_with_features(30, 5)
    images[:4], images[9] = training.train[:4], images[8]
    images[4] = (training.train[4].float() * 0.9).round().to(torch.uint8)
    spaces = {
        "copies": (training.train.flatten(1), training.held_out.flatten(1), images.flatten(1)),
        "feature-copies": (training.train_features(), training.held_out_features(), of_images.features),
    }
    for name, (train, held_out, queries) in spaces.items():
        nearness = [plain_nearness(row, train, 50) for row in held_out]
        limit = np.quantile(nearness[::2], 0.01)
        expected = np.mean([plain_nearness(row, train, 50) <= limit for row in queries])
        of_held_out = np.mean([near <= limit for near in nearness[1::2]])
        column = "pixel_copy_share" if name == "copies" else "feature_copy_share"
        for rows in (32, 500):
            monkeypatch.setattr(neighbours, "ROWS", rows)
            metric = metrics.get(name)
            assert isinstance(metric, ImageMetric)
            bound = metric.bind_images(training)
            assert bound.values(images, of_images)[column] == pytest.approx(expected)
            assert bound.real_reference[column] == pytest.approx(of_held_out)
    assert metrics.get("copies").bind_images(training).values(images, of_images) == {
        "duplicate_share": pytest.approx(1 / 30),
        "pixel_copy_share": pytest.approx(5 / 30),
    }


def test_nearness_does_not_depend_on_how_near_images_are_to_each_other() -> None:
    """Where all training images are alike, a generated one is near to all of them: no copy."""
    train = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))
    query = train.mean(0, keepdim=True)
    wide, narrow = (neighbours.nearest_ratios(query * scale, train * scale, 50) for scale in (1.0, 1e-3))
    assert narrow.item() == pytest.approx(wide.item(), rel=1e-4)
    assert neighbours.nearest_ratios(train[:3], train, 50).tolist() == pytest.approx([0, 0, 0], abs=2e-3)
    same = torch.ones(60, 5)
    assert neighbours.nearest_ratios(same[:2], same, 50).tolist() == [1.0, 1.0]
    assert neighbours.nearest_ratios(train[:2], train[2:5], 50).shape == (2,)


def test_duplicates_are_images_that_equal_an_earlier_one() -> None:
    images, _ = images_with_features(10, 0)
    assert duplicate_share(images) == 0
    assert duplicate_share(images[torch.tensor([0, 1, 0, 0, 2])]) == pytest.approx(0.4)
    nearly = images[:1].clone()
    nearly[0, 0, 0, 0] ^= 1
    assert duplicate_share(torch.cat([images[:1], nearly])) == 0


@pytest.mark.parametrize("name", NAMES)
def test_metric_does_not_use_the_global_random_generators(name: str) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(3)
    np.random.seed(3)
    metrics.get(name).bind(features(40))(features(40, 1))
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()


def test_column_names_are_unique() -> None:
    names = [column.name for name in metrics for column in metrics.get(name).columns]
    assert len(names) == len(set(names))


def test_fid_of_equal_features_is_zero() -> None:
    same = features(100).features
    assert abs(fid(same, same)) < 1e-5


@pytest.mark.parametrize(("rank", "rounding"), [(64, 1e-6), (40, 1e-6), (3, 3e-6)])
def test_fid_equals_torch_fidelity_for_nearly_singular_covariances(rank: int, rounding: float) -> None:
    """At rank 3 torch-fidelity differs by 1.6e-6 from a 30-digit reference, this implementation by 2e-11."""
    rng = torch.Generator().manual_seed(rank)
    mix = torch.randn(rank, 64, generator=rng)
    real = torch.randn(900, rank, generator=rng) @ mix + 1e-3 * torch.randn(900, 64, generator=rng)
    fake = 1.3 * torch.randn(700, rank, generator=rng) @ mix + 0.2
    both = [fid_features_to_statistics(features) for features in (real, fake)]
    expected = fid_statistics_to_metric(*both, verbose=False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(expected, rel=rounding)


def test_fid_is_exact_for_features_of_low_rank() -> None:
    """The FID between a set and itself scaled by 1.01 has a closed form."""
    rng = torch.Generator().manual_seed(0)
    latent = torch.randn(500, 12, generator=rng).double() * 30
    real = latent @ torch.randn(12, 128, generator=rng).double()
    expected = np.trace(fid_features_to_statistics(real)["sigma"]) * 0.01**2
    assert fid(real, 1.01 * real - 0.01 * real.mean(0)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("shift", [0.0, 0.01, 1.0])
def test_kid_is_closer_to_float64_than_torch_fidelity(shift: float) -> None:
    """Both equal the float64 value up to rounding; where large means cancel, this implementation is closer."""
    real, fake = (features(600, seed, dim=64).features.relu() * 3 for seed in (0, 1))
    fake = fake + shift
    values = metrics.get("kid").bind(Features(real, real))(Features(fake, fake))

    def torch_fidelity_kid(dtype: torch.dtype) -> dict[str, float]:
        both, size = (fake.to(dtype), real.to(dtype)), subset_size(600, 600)
        options = {"kid_subsets": SUBSETS, "kid_subset_size": size, "rng_seed": SEED, "verbose": False}
        return dict(kid_features_to_metric(*both, **options))

    exact, rounded = torch_fidelity_kid(torch.float64), torch_fidelity_kid(torch.float32)
    for part in ("mean", "std"):
        expected = exact[f"kernel_inception_distance_{part}"]
        assert values[f"kid_{part}"] == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert values[f"kid_{part}"] == pytest.approx(rounded[f"kernel_inception_distance_{part}"], abs=1e-4)


def test_precision_and_recall_equal_torch_fidelity_for_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(230, 0, dim=8).features, 1.2 * features(210, 1, dim=8).features + 0.3
    options = {"prc_neighborhood": 3, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
    expected = prc_features_to_metric(fake, real, **options)
    assert 0.1 < expected["precision"] < expected["recall"] < 0.97
    for rows in (64, 500):
        monkeypatch.setattr(neighbours, "ROWS", rows)
        values = metrics.get("prc").bind(Features(real, real))(Features(fake, fake))
        assert values == {name: expected[name] for name in ("precision", "recall")}


def test_fid_of_known_gaussians() -> None:
    real = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # the shift adds 3^2 + 4^2, the doubling adds (2 - 1)^2 of each variance, which is 2/3 (n - 1 = 3)
    assert fid(real, 2 * real + torch.tensor([3.0, 4.0])) == pytest.approx(25 + 2 * 2 / 3, rel=1e-6)


def test_fid_check_requires_more_images_than_features() -> None:
    metrics.get("fid").check(128, 129, 129)
    for counts in ((128, 10_000), (10_000, 128)):
        with pytest.raises(InputError, match="129"):
            metrics.get("fid").check(128, *counts)


def test_is_and_kid_checks_require_an_image_per_split_and_two_per_subset() -> None:
    with pytest.raises(InputError, match="at least 10"):
        metrics.get("is").check(128, 100, 9)
    for counts in ((1, 100), (100, 1)):
        with pytest.raises(InputError, match="at least 2"):
            metrics.get("kid").check(128, *counts)


def plain_density_and_coverage(real: Tensor, fake: Tensor, neighbours: int) -> tuple[float, float]:
    """The two sums of arXiv 2002.09797, section 3.2, image by image in float64."""
    real, fake = real.double(), fake.double()
    inside = torch.zeros(len(real), len(fake), dtype=torch.bool)
    for i in range(len(real)):
        others = torch.stack([(real[i] - real[k]).norm() for k in range(len(real)) if k != i])
        radius = others.sort().values[neighbours - 1]
        inside[i] = torch.stack([(real[i] - fake[j]).norm() <= radius for j in range(len(fake))])
    return float(inside.sum()) / (neighbours * len(fake)), float(inside.any(1).double().mean())


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.3, 0.4), (0.1, 0.2), (1.0, 50.0)])
def test_density_and_coverage_equal_the_plain_formula_for_any_block_size(
    monkeypatch: pytest.MonkeyPatch, scale: float, shift: float
) -> None:
    real, fake = features(70, 0, dim=6).features, scale * features(90, 1, dim=6).features + shift
    density, coverage = plain_density_and_coverage(real, fake, 5)
    assert (density > 0) == (coverage > 0) == (shift < 1)
    for rows in (16, 500):
        monkeypatch.setattr(neighbours, "ROWS", rows)
        values = metrics.get("dc").bind(Features(real, real))(Features(fake, fake))
        assert values["density"] == pytest.approx(density, abs=1e-12)
        assert values["coverage"] == pytest.approx(coverage, abs=1e-7)


def test_density_exceeds_1_and_coverage_falls_for_few_typical_images() -> None:
    real = features(200, dim=6).features
    typical = real[real.norm(dim=1).argsort()[:1]].expand(50, -1) + 1e-3 * features(50, 2, dim=6).features
    values = metrics.get("dc").bind(Features(real, real))(Features(typical, typical))
    assert values["density"] > 1.5
    assert values["coverage"] < 0.2


def test_dc_check_requires_more_real_images_than_neighbours() -> None:
    metrics.get("dc").check(128, 6, 1)
    with pytest.raises(InputError, match="dc requires more than 5 real images"):
        metrics.get("dc").check(128, 5, 100)


def test_prc_check_requires_more_images_than_neighbours() -> None:
    with pytest.raises(InputError, match="prc"):
        metrics.get("prc").check(128, 3, 3)


def logits_of(labels: list[int], classes: int = 3) -> Features:
    logits = torch.nn.functional.one_hot(torch.tensor(labels), classes).float()
    return Features(logits, logits)


def test_modes_covers_a_class_from_a_tenth_of_its_real_share() -> None:
    modes = metrics.get("modes").bind(logits_of([0] * 50 + [1] * 30 + [2] * 20))
    assert (
        modes(logits_of([0] * 96 + [1] * 2 + [2] * 2))["modes_covered"] == 2
    )  # 2% is below a tenth of 30% but not of 20%
    assert modes(logits_of([0] * 95 + [1] * 3 + [2] * 2))["modes_covered"] == 3
    assert modes(logits_of([0] * 50 + [1] * 30 + [2] * 20))["modes_kl"] == pytest.approx(0, abs=1e-12)
    assert modes(logits_of([0] * 10))["modes_kl"] == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("names", "resolved"),
    [
        (("precision", "recall"), ("prc",)),
        (("density", "coverage"), ("dc",)),
        (("FID", "fid"), ("fid",)),
        (("kid", "inception_score_mean"), ("kid", "is")),
    ],
)
def test_metric_aliases(names: tuple[str, ...], resolved: tuple[str, ...]) -> None:
    assert resolve_metrics(names) == resolved


def test_unknown_metric_raises_with_the_closest_name() -> None:
    with pytest.raises(InputError, match="did you mean fid"):
        resolve_metrics(["fdi"])


def test_fid_kid_and_precision_rank_known_damage(evaluator: Evaluator, synthetic: ImageData) -> None:
    images = synthetic.train[: evaluator.n_fake]
    rows = []
    for share in (0.0, 0.1, 0.3, 0.6, 1.0):
        scores = {score.metric: score for score in evaluator.score(add_noise(images, share), epoch=1, step=1)}
        rows.append((scores["fid"].value, scores["kid_mean"].value, -scores["precision"].value))
    fids, kids, losses = zip(*rows, strict=True)
    assert all(one < two for one, two in itertools.pairwise(fids)), fids
    assert list(losses) == sorted(losses)
    assert kids[0] < kids[1] < kids[-1]


def test_scores_equal_torch_fidelity_calculate_metrics(mnist: ImageData) -> None:
    """calculate_metrics with mnist-cnn as its extractor, on the same images."""
    context = ExtractorContext(mnist, torch.device("cpu"), cache_dir=None, offline=True, on_event=print)  # type: ignore[arg-type]
    extractor = find_extractor("mnist-cnn").build(context)
    assert isinstance(extractor, ClassifierExtractor)

    class TorchFidelityMnistCnn(FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **options: object) -> None:
            super().__init__(name, features_list)
            self.net = extractor.net

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            outputs = dict(zip(("features", "logits"), extractor.forward(images[:, :1]), strict=True))
            return tuple(outputs[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor("mnist-cnn-here", TorchFidelityMnistCnn)
    real, fake = mnist.test[:600], add_noise(mnist.train[:500], 0.2)
    expected = torch_fidelity.calculate_metrics(
        input1=_Images(fake), input2=_Images(real), feature_extractor="mnist-cnn-here",
        isc=True, fid=True, kid=True, prc=True, kid_subset_size=subset_size(500, 600), rng_seed=SEED,
        cuda=False, cache=False, verbose=False, batch_size=500, save_cpu_ram=True,
    )  # fmt: skip
    fake_features, real_features = extractor(fake), extractor(real)
    values = {
        name: value
        for metric in ("fid", "is", "kid", "prc")
        for name, value in metrics.get(metric).bind(real_features)(fake_features).items()
    }
    names = {"fid": "frechet_inception_distance", "kid_mean": "kernel_inception_distance_mean"}
    for name in ("fid", "inception_score_mean", "inception_score_std", "kid_mean", "precision", "recall"):
        assert values[name] == pytest.approx(expected[names.get(name, name)], rel=1e-6), name


class _Images(torch.utils.data.Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]
