"""Evaluation of 10,000 generated images: gan_bench against torch_fidelity.calculate_metrics, and against an epoch.

Both compute FID, inception score and KID of the same images with the features of mnist-cnn, and with cached
features of the real images; gan_bench also counts covered classes. torch-fidelity runs twice: with the network as
stored, and with gan_bench's faster forward of it. The script fails if the values disagree. "whole evaluation" is
the cost for a run: sampling, and every metric of the default protocol.

    python benchmarks/evaluation.py --repeats 5 --data-root FOLDER --out evaluation.json
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timing
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.matrix import Matrix
from gan_bench.data.base import ImageData, datasets
from gan_bench.data.batch import Batch
from gan_bench.devices import select
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import ExtractorContext
from gan_bench.metrics.extractors.classifier import load_classifier
from gan_bench.metrics.extractors.classifier_training import to_float
from gan_bench.metrics.extractors.lookup import find_extractor
from gan_bench.metrics.extractors.mnist_cnn import WEIGHTS
from gan_bench.metrics.fidelity import SEED
from gan_bench.runner.catalogue import Registries
from gan_bench.training import warmup
from gan_bench.training.trainer import Trainer

SAMPLES = 10_000
COMPARED = ("fid", "is", "kid")
NAMES = {
    "fid": "frechet_inception_distance",
    "inception_score_mean": "inception_score_mean",
    "inception_score_std": "inception_score_std",
    "kid_mean": "kernel_inception_distance_mean",
    "kid_std": "kernel_inception_distance_std",
}
OURS, PLAIN, TUNED = "gan_bench", "torch-fidelity", "torch-fidelity, tuned forward"
WHOLE, EPOCH = "whole evaluation", "epoch of vanilla"
Forward = Callable[[Tensor], tuple[Tensor, Tensor]]
Numbers = Mapping[str, float]


class Tiled(Dataset[Tensor]):
    """Grey images in torch-fidelity's format: uint8 RGB, one at a time."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.cpu().expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def register(name: str, forward: Forward) -> None:
    """Register an extractor with torch-fidelity, from uint8 images [B, 1, H, W] to (features, logits)."""

    class FidelityExtractor(FeatureExtractorBase):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **unused: object) -> None:
            super().__init__(name, features_list)

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
            found = dict(zip(("features", "logits"), forward(images[:, :1]), strict=True))
            return tuple(found[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor(name, FidelityExtractor)


def theirs(name: str, fakes: Tensor, reference: Tensor, device: torch.device, given: Any) -> Numbers:
    """Return the metrics of torch-fidelity; from the second call on, real features are cached."""
    found = torch_fidelity.calculate_metrics(
        input1=Tiled(fakes), input2=Tiled(reference), input2_cache_name=f"real-{name}", cache_root=given.cache,
        feature_extractor=name, isc=True, fid=True, kid=True, rng_seed=SEED, batch_size=given.batch_size,
        save_cpu_ram=not given.workers, cuda=device.type == "cuda", verbose=False,
    )  # fmt: skip
    return {ours: found[name] for ours, name in NAMES.items()}


def scores(evaluator: Evaluator, fakes: Tensor) -> Numbers:
    return {score.metric: score.value for score in evaluator.score(fakes, epoch=1, step=1)}


def disagreement(ours: Numbers, other: Numbers) -> dict[str, float]:
    """Return relative differences; that of KID's mean is in units of its std over subsets.

    torch-fidelity sums KID's kernels, which nearly cancel, in float32; gan_bench in float64.
    """
    unit = {name: abs(value) for name, value in other.items()} | {"kid_mean": other["kid_std"]}
    return {name: abs(ours[name] - other[name]) / unit[name] for name in NAMES}


ALLOWED = {
    "fid": 1e-6,
    "inception_score_mean": 1e-6,
    "inception_score_std": 1e-6,
    "kid_mean": 1e-5,
    "kid_std": 1e-5,
}


def trained(data: ImageData, device: torch.device) -> Trainer:
    """Return a trainer of the smallest model after one epoch, of a training without end."""
    (spec,) = Matrix(models=("vanilla",), dataset="mnist", epochs=10**6).expand(Registries())
    trainer = Trainer([spec], Batch(data.train).to(device), device)
    warmup.warm_up(trainer, timing.print_notice, fuse=False)
    trainer.train_epoch()
    return trainer


def evaluator(data: ImageData, device: torch.device, cache: Path, metrics: tuple[str, ...]) -> Evaluator:
    plan = EvaluationSpec(metrics=metrics, extractors=("mnist-cnn",), samples=SAMPLES)
    made = Evaluator(data, plan, device=device, cache_dir=cache, offline=True, on_event=timing.print_notice)
    made.prepare()
    return made


def measure(data: ImageData, device: torch.device, given: Any) -> dict[str, Any]:
    few = evaluator(data, device, given.cache, (*COMPARED, "modes"))
    every = evaluator(data, device, given.cache, EvaluationSpec().metrics)
    extractor = find_extractor("mnist-cnn").build(
        ExtractorContext(data, device, given.cache, offline=True, on_event=timing.print_notice)
    )
    plain = load_classifier(WEIGHTS.read_bytes())[0].requires_grad_(False).to(device)
    register("plain", lambda images: plain(to_float(images)))
    register("tuned", extractor.forward)
    trainer = trained(data, device)
    sampler = trainer.sampler(0)
    fakes = sampler.sample(SAMPLES, "evaluation")
    works: dict[str, timing.Work] = {
        OURS: lambda: scores(few, fakes),
        PLAIN: lambda: theirs("plain", fakes, few.images.real(), device, given),
        TUNED: lambda: theirs("tuned", fakes, few.images.real(), device, given),
        "sampling": lambda: sampler.sample(SAMPLES, "evaluation"),
        WHOLE: lambda: scores(every, sampler.sample(SAMPLES, "evaluation")),
        EPOCH: trainer.train_epoch,
    }
    seconds = timing.interleaved(works, device, given.repeats)
    images = {"generated": fakes, "real training": data.train[:SAMPLES]}
    return {
        "samples": SAMPLES,
        "seconds": seconds,
        "shares": {
            f"{one} / {other}": timing.ratios(seconds[one], seconds[other])
            for one, other in ((OURS, PLAIN), (OURS, TUNED), (WHOLE, EPOCH))
        },
        "disagreement": {
            f"{what} images, {name} forward": disagreement(
                scores(few, some), theirs(name, some, few.images.real(), device, given)
            )
            for what, some in images.items()
            for name in ("tuned", "plain")
        },
    }


def show(row: dict[str, Any]) -> None:
    seconds = [(name, timing.spread(values)) for name, values in row["seconds"].items()]
    timing.show(f"seconds for {row['samples']:,} images: median (min to max)", ["contestant", "seconds"], seconds)
    shares = [(name, timing.spread(values)) for name, values in row["shares"].items()]
    timing.show("ratios within a round", ["ratio", "median (min to max)"], shares)
    apart = [(name, *(f"{each:.1e}" for each in found.values())) for name, found in row["disagreement"].items()]
    timing.show("relative difference to torch-fidelity; KID's mean in units of its std", ["images", *NAMES], apart)


def main() -> None:
    parser = timing.options(__doc__)
    parser.add_argument("--batch-size", type=int, default=64, help="of torch-fidelity; 64 is its default")
    parser.add_argument("--workers", action="store_true", help="use torch-fidelity's 4 loading processes")
    given = parser.parse_args()
    device = select.find_device(given.device)
    data = datasets.get("mnist").load(given.data_root, offline=True, on_event=timing.print_notice)
    with tempfile.TemporaryDirectory() as cache:
        given.cache = Path(cache)
        row = measure(data, device, given)
    show(row)
    timing.write_rows(given.out, device, [row])
    for what, found in row["disagreement"].items():
        # on a GPU, the batches of both sides may use different kernels, with different rounding
        slack = 10 if device.type == "cuda" else 1
        wrong = {name: value for name, value in found.items() if not value <= slack * ALLOWED[name]}
        assert not wrong or "plain" in what, f"gan_bench and torch-fidelity disagree on {what}: {wrong}"


if __name__ == "__main__":
    main()
