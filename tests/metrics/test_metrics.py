"""What every metric must keep to, and that the numbers are torch-fidelity's."""

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

from gan_bench.data.dataset import ImageData
from gan_bench.errors import InputError
from gan_bench.metrics import prc
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.classifier import ClassifierExtractor
from gan_bench.metrics.extractors.extractor import Context, Features
from gan_bench.metrics.extractors.find import find_extractor
from gan_bench.metrics.fidelity import SEED
from gan_bench.metrics.kid import SUBSETS, subset_size
from gan_bench.metrics.metric import metrics, resolve_metrics

NAMES = ["fid", "is", "kid", "modes", "prc"]


def features(n: int, seed: int = 0, dim: int = 16, classes: int = 5) -> Features:
    draws = torch.Generator().manual_seed(seed)
    return Features(torch.randn(n, dim, generator=draws), 3 * torch.randn(n, classes, generator=draws))


def noised(images: Tensor, share: float) -> Tensor:
    noise = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    return (images * (1 - share) + noise * share).round().to(torch.uint8)


def fid(real: Tensor, fake: Tensor) -> float:
    logits = torch.zeros(1, 1)
    return metrics.get("fid").against(Features(real, logits))(Features(fake, logits))["fid"]


def test_the_metrics_are_there() -> None:
    assert set(NAMES) <= set(metrics.names())


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    metric = metrics.get(name)
    fake = features(60, 1)
    found = metric.against(features(80))(fake)
    assert set(found) == {column.name for column in metric.columns}
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
    assert dict(found) == dict(metric.against(features(80))(fake)), "the same twice"


@pytest.mark.parametrize("name", NAMES)
def test_global_random_numbers_are_left_alone(name: str) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(3)
    np.random.seed(3)
    metrics.get(name).against(features(40))(features(40, 1))
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()


def test_columns_are_unique_over_metrics() -> None:
    names = [column.name for name in metrics for column in metrics.get(name).columns]
    assert len(names) == len(set(names))


def test_the_same_features_are_at_distance_nought() -> None:
    same = features(100).features
    assert abs(fid(same, same)) < 1e-5


@pytest.mark.parametrize(("rank", "rounding"), [(64, 1e-6), (40, 1e-6), (3, 3e-6)])
def test_fid_equals_torch_fidelity_even_where_covariances_are_nearly_singular(rank: int, rounding: float) -> None:
    """At rank 3 the rounding is torch-fidelity's: 1.6e-6 off what 30 digits give, and ours 2e-11."""
    draws = torch.Generator().manual_seed(rank)
    mix = torch.randn(rank, 64, generator=draws)
    real = torch.randn(900, rank, generator=draws) @ mix + 1e-3 * torch.randn(900, 64, generator=draws)
    fake = 1.3 * torch.randn(700, rank, generator=draws) @ mix + 0.2
    both = [fid_features_to_statistics(one) for one in (real, fake)]
    expected = fid_statistics_to_metric(*both, verbose=False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(expected, rel=rounding)


def test_fid_is_exact_where_features_are_dead() -> None:
    """Of a set and the same made a hundredth wider the distance is known in closed form."""
    draws = torch.Generator().manual_seed(0)
    alive = torch.randn(500, 12, generator=draws).double() * 30
    real = alive @ torch.randn(12, 128, generator=draws).double()
    expected = np.trace(fid_features_to_statistics(real)["sigma"]) * 0.01**2
    assert fid(real, 1.01 * real - 0.01 * real.mean(0)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("shift", [0.0, 0.01, 1.0])
def test_kid_is_exact_where_torch_fidelity_is_rounded(shift: float) -> None:
    """Both are the float64 number but for rounding; where little is left of the large means, ours is nearer."""
    real, fake = (features(600, seed, dim=64).features.relu() * 3 for seed in (0, 1))
    fake = fake + shift
    found = metrics.get("kid").against(Features(real, real))(Features(fake, fake))

    def theirs(dtype: torch.dtype) -> dict[str, float]:
        both, size = (fake.to(dtype), real.to(dtype)), subset_size(600, 600)
        options = {"kid_subsets": SUBSETS, "kid_subset_size": size, "rng_seed": SEED, "verbose": False}
        return dict(kid_features_to_metric(*both, **options))

    exact, rounded = theirs(torch.float64), theirs(torch.float32)
    for part in ("mean", "std"):
        wanted = exact[f"kernel_inception_distance_{part}"]
        assert found[f"kid_{part}"] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert found[f"kid_{part}"] == pytest.approx(rounded[f"kernel_inception_distance_{part}"], abs=1e-4)


def test_precision_and_recall_are_torch_fidelity_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image by image: equal however many are looked at together."""
    real, fake = features(230, 0, dim=8).features, 1.2 * features(210, 1, dim=8).features + 0.3
    options = {"prc_neighborhood": 3, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
    expected = prc_features_to_metric(fake, real, **options)
    assert 0.1 < expected["precision"] < expected["recall"] < 0.97
    for rows in (64, 500):
        monkeypatch.setattr(prc, "ROWS", rows)
        found = metrics.get("prc").against(Features(real, real))(Features(fake, fake))
        assert found == {name: expected[name] for name in ("precision", "recall")}


def test_fid_of_known_gaussians() -> None:
    real = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # the shift adds 3^2 + 4^2, the doubling adds (2 - 1)^2 of each variance, which is 2/3 (n - 1 = 3)
    assert fid(real, 2 * real + torch.tensor([3.0, 4.0])) == pytest.approx(25 + 2 * 2 / 3, rel=1e-6)


def test_fid_refuses_too_few_images() -> None:
    metrics.get("fid").check(128, 129, 129)
    for counts in ((128, 10_000), (10_000, 128)):
        with pytest.raises(InputError, match="129"):
            metrics.get("fid").check(128, *counts)


def test_prc_refuses_too_few_images() -> None:
    with pytest.raises(InputError, match="prc"):
        metrics.get("prc").check(128, 3, 3)


def logits_of(labels: list[int], classes: int = 3) -> Features:
    logits = torch.nn.functional.one_hot(torch.tensor(labels), classes).float()
    return Features(logits, logits)


def test_modes_counts_from_a_tenth_of_the_real_share() -> None:
    measure = metrics.get("modes").against(logits_of([0] * 50 + [1] * 30 + [2] * 20))
    assert measure(logits_of([0] * 96 + [1] * 2 + [2] * 2))["modes_covered"] == 2  # 2% of 30% is short, of 20% not
    assert measure(logits_of([0] * 95 + [1] * 3 + [2] * 2))["modes_covered"] == 3
    assert measure(logits_of([0] * 50 + [1] * 30 + [2] * 20))["modes_kl"] == pytest.approx(0, abs=1e-12)
    assert measure(logits_of([0] * 10))["modes_kl"] == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("precision", "recall"), ("prc",)),
        (("FID", "fid"), ("fid",)),
        (("kid", "inception_score_mean"), ("kid", "is")),
    ],
)
def test_spellings(asked: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert resolve_metrics(asked) == found


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean fid"):
        resolve_metrics(["fdi"])


def test_fid_ranks_known_damage(evaluator: Evaluator, synthetic: ImageData) -> None:
    images = synthetic.train[: evaluator.n_fake]
    found = []
    for share in (0.0, 0.1, 0.3, 0.6, 1.0):
        scores = {score.metric: score for score in evaluator.score(noised(images, share), epoch=1, step=1)}
        found.append((scores["fid"].value, scores["kid_mean"].value, -scores["precision"].value))
    distances, discrepancies, unreal = zip(*found, strict=True)
    assert all(one < two for one, two in itertools.pairwise(distances)), distances
    assert list(unreal) == sorted(unreal)
    assert discrepancies[0] < discrepancies[1] < discrepancies[-1]


def test_numbers_are_those_of_torch_fidelity(mnist: ImageData) -> None:
    """The whole way of calculate_metrics, with mnist-cnn as its extractor, on the same images."""
    context = Context(mnist, torch.device("cpu"), cache_dir=None, offline=True, notify=print)  # type: ignore[arg-type]
    extractor = find_extractor("mnist-cnn").build(context)
    assert isinstance(extractor, ClassifierExtractor)

    class MnistCnnOfFidelity(FeatureExtractorBase):  # type: ignore[misc]
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
            found = dict(zip(("features", "logits"), extractor.forward(images[:, :1]), strict=True))
            return tuple(found[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor("mnist-cnn-here", MnistCnnOfFidelity)
    real, fake = mnist.test[:600], noised(mnist.train[:500], 0.2)
    expected = torch_fidelity.calculate_metrics(
        input1=_Images(fake), input2=_Images(real), feature_extractor="mnist-cnn-here",
        isc=True, fid=True, kid=True, prc=True, kid_subset_size=subset_size(500, 600), rng_seed=SEED,
        cuda=False, cache=False, verbose=False, batch_size=500, save_cpu_ram=True,
    )  # fmt: skip
    one, other = extractor(fake), extractor(real)
    found = {
        name: v for m in ("fid", "is", "kid", "prc") for name, v in metrics.get(m).against(other)(one).items()
    }
    names = {"fid": "frechet_inception_distance", "kid_mean": "kernel_inception_distance_mean"}
    for name in ("fid", "inception_score_mean", "inception_score_std", "kid_mean", "precision", "recall"):
        assert found[name] == pytest.approx(expected[names.get(name, name)], rel=1e-6), name


class _Images(torch.utils.data.Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]
