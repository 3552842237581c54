"""Step time of gan_bench's trainer against a textbook loop of the same nets, paired in one run.

The textbook loop is typical of small projects: DataLoader with torchvision transforms, BCELoss on sigmoids, Adam,
`.item()` at every step, gradients of D computed and discarded in the update of G, fakes sampled twice.

Every contestant has a process of its own, and they take turns. The fraction of peak is the step's FLOPs over those
of large square matrix products in the same time: by torch.mm, and by oneDNN where the trainer uses it.

    python benchmarks/step_time.py --models vanilla,dcgan28 --repeats 5 --data-root FOLDER --out step_time.json
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import timing
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from gan_bench.core.frozen import Precision
from gan_bench.core.matrix import Matrix
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import datasets, resized
from gan_bench.data.batch import Batch
from gan_bench.devices import select
from gan_bench.models.base import build_model
from gan_bench.models.dropout import Dropout
from gan_bench.runner.catalogue import Registries
from gan_bench.training import warmup
from gan_bench.training.cpu_kernels import CPUKernels, active, linear
from gan_bench.training.flops import step_flops
from gan_bench.training.precision import compute_dtype, set_matmul
from gan_bench.training.state import dropouts
from gan_bench.training.trainer import Trainer

MATMUL_SIZE = 4096 if torch.cuda.is_available() else 2048
"""Large enough to occupy the device."""
OURS, MM, ONEDNN = "ours", "torch.mm", "oneDNN"


class TransformedImages(Dataset):  # type: ignore[type-arg]
    """Images of an array, transformed one by one by torchvision."""

    def __init__(self, images: Tensor, size: int) -> None:
        self.images = images.squeeze(1).numpy()
        self.transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.Resize(size),
                transforms.ToTensor(),
                transforms.Normalize(0.5, 0.5),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(self.images[index])
        return image


class WithTorchDropout(nn.Module):
    """A discriminator with PyTorch's dropout layers instead of explicit masks, and a sigmoid."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        for name, layer in dropouts(net):
            parent, _, own = name.rpartition(".")
            setattr(net.get_submodule(parent) if parent else net, own, nn.Dropout(layer.p))
        assert not any(isinstance(layer, Dropout) for layer in net.modules())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return torch.sigmoid(logits)


Stepper = Callable[[int], None]
"""Makes a number of steps of a training that continues from call to call."""


def textbook(spec: TrainingSpec, images: Tensor, device: torch.device, workers: int) -> Stepper:
    training = endless(spec, images, device, workers)

    def steps(count: int) -> None:
        for _ in range(count):
            next(training)

    return steps


def endless(spec: TrainingSpec, images: Tensor, device: torch.device, workers: int) -> Iterator[None]:
    """Train forever; each `next` is one step."""
    model = build_model(spec)
    g, d = model.generator().to(device), WithTorchDropout(model.discriminator()).to(device)
    loader = DataLoader(
        TransformedImages(images, spec.image_size),
        batch_size=spec.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    betas = (model.recipe.beta1, model.recipe.beta2)
    g_adam = torch.optim.Adam(g.parameters(), lr=spec.lr_g, betas=betas)
    d_adam = torch.optim.Adam(d.parameters(), lr=spec.lr_d, betas=betas)
    loss = nn.BCELoss()
    losses = []
    while True:
        for batch in loader:
            real = batch.to(device)
            ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
            d_adam.zero_grad()
            fake = g(torch.randn(len(real), model.recipe.z_dim, device=device)).detach()
            d_loss = loss(d(real), ones) + loss(d(fake), zeros)
            d_loss.backward()
            d_adam.step()
            g_adam.zero_grad()
            g_loss = loss(d(g(torch.randn(len(real), model.recipe.z_dim, device=device))), ones)
            g_loss.backward()
            g_adam.step()
            losses.append((d_loss.item(), g_loss.item()))
            yield


def ours(spec: TrainingSpec, images: Tensor, device: torch.device, *, fuse: bool) -> Stepper:
    return together([spec], images, device, fuse=fuse)


def together(
    specs: Sequence[TrainingSpec],
    images: Tensor,
    device: torch.device,
    *,
    fuse: bool = False,
    cpu_kernels: CPUKernels = "auto",
) -> Stepper:
    """Return a stepper of runs that are trained as lanes of one program.

    With `fuse`, torch.compile fuses the layers if that is faster.
    """
    endless_specs = [spec.model_copy(update={"epochs": 10**6, "steps": None}) for spec in specs]
    data = Batch(resized(images, specs[0].image_size)).to(device)
    trainer = Trainer(endless_specs, data, device, cpu_kernels=cpu_kernels)
    warmup.warm_up(trainer, timing.print_notice, fuse=False)  # an endless training would always be compiled
    if fuse:
        warmup.compile_if_faster(trainer, timing.print_notice)

    def steps(count: int) -> None:
        goal = trainer.step + count
        while trainer.step < goal:
            trainer.train_steps(pause=lambda: trainer.step >= goal)
            if trainer.epoch_is_trained:
                trainer.close_epoch()

    return steps


def matmul(device: torch.device, precision: Precision) -> Stepper:
    """Return a stepper of large matrix products by `torch.mm`."""
    set_matmul(precision)
    dtype = compute_dtype(precision, torch.float32)
    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=device, dtype=dtype)

    def multiply(count: int) -> None:
        for _ in range(count):
            torch.mm(a, a)

    return multiply


def onednn() -> Stepper:
    """Return a stepper of the same products by oneDNN."""
    a = torch.randn(1, MATMUL_SIZE, MATMUL_SIZE)

    def multiply(count: int) -> None:
        for _ in range(count):
            linear(a, a, None, by_onednn=True)

    return multiply


def builders(
    spec: TrainingSpec, images: Tensor, device: torch.device, *, fuse: bool
) -> dict[str, Callable[[], Stepper]]:
    """Return a function that builds each contestant, called in a process of its own."""
    found: dict[str, Callable[[], Stepper]] = {
        OURS: functools.partial(ours, spec, images, device, fuse=fuse),
        "textbook, 0 workers": functools.partial(textbook, spec, images, device, 0),
        "textbook, 2 workers": functools.partial(textbook, spec, images, device, 2),
        MM: functools.partial(matmul, device, spec.precision),
    }
    if active(device, "auto") == "onednn":
        found[ONEDNN] = onednn
    return found


def measure(
    spec: TrainingSpec, images: Tensor, device: torch.device, repeats: int, seconds: float, *, fuse: bool
) -> dict[str, Any]:
    """Return a row: seconds per step of each contestant, and ratios."""
    makers = builders(spec, images, device, fuse=fuse)
    contestants = {name: timing.WorkerProcess(build) for name, build in makers.items()}
    works: dict[str, timing.Work] = {}
    counts = {}
    for name, work in contestants.items():
        work(3)
        once = timing.timed(functools.partial(work, 2), device) / 2
        counts[name] = min(500, max(2, round(seconds / once)))
        works[name] = functools.partial(work, counts[name])
    total = timing.interleaved(works, device, repeats, warm_up=0)
    for contestant in contestants.values():
        contestant.close()
    times = {name: [each / counts[name] for each in all_steps] for name, all_steps in total.items()}
    flops = step_flops(spec)
    peaks = {
        name: [2 * MATMUL_SIZE**3 / each for each in times.pop(name)] for name in (MM, ONEDNN) if name in times
    }
    best = min((name for name in times if name != OURS), key=lambda name: statistics.median(times[name]))
    return {
        "model": spec.model,
        "precision": spec.precision,
        "fuse": fuse,
        "batch_size": spec.batch_size,
        "step_gflop": flops / 1e9,
        "seconds": times,
        "peak_flops": peaks,
        "best_textbook": best,
        "speedup": timing.ratios(times[best], times[OURS]),
        "fraction_of_peak": {
            name: [flops / each / peak for each, peak in zip(times[OURS], found, strict=True)]
            for name, found in peaks.items()
        },
    }


def main() -> None:
    parser = timing.options(__doc__)
    parser.add_argument("--models", default="vanilla,dcgan28,dcgan28-tf,dcgan32,dcgan64")
    parser.add_argument(
        "--precision", default="fp32", choices=("fp32", "tf32", "bf16"), help="of gan_bench's trainer"
    )
    parser.add_argument(
        "--fuse", action="store_true", help="use torch.compile in gan_bench's trainer if it is faster"
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=4.0, help="approximate length of a measurement")
    parser.add_argument("--dataset", default="mnist")
    given = parser.parse_args()
    device = select.find_device(given.device)
    data = datasets.get(given.dataset).load(given.data_root, offline=True, on_event=timing.print_notice)
    matrix = Matrix(
        models=tuple(given.models.split(",")),
        dataset=given.dataset,
        batch_size=given.batch_size,
        precision=given.precision,
    )
    rows = []
    for spec in matrix.expand(Registries()):
        rows.append(measure(spec, data.train, device, given.repeats, given.seconds, fuse=given.fuse))
        show(rows[-1])
        timing.write_rows(given.out, device, rows)


def show(row: dict[str, Any]) -> None:
    fractions = {f"% of {name}": timing.spread(each, 100) for name, each in row["fraction_of_peak"].items()}
    columns = ["model", *row["seconds"], "speed-up over the best textbook loop", *fractions]
    cells = [
        row["model"],
        *(timing.spread(each, 1e3) for each in row["seconds"].values()),
        timing.spread(row["speedup"]),
        *fractions.values(),
    ]
    timing.show("ms per step: median (min to max)", columns, [cells])


if __name__ == "__main__":
    main()
