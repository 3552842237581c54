"""The checks of benchmarks/gpu.py: on the device, the trainer and the scores are what they are on a CPU.

Each check is a function that returns nothing, or raises. They need the oracle of the tests beside them on
PYTHONPATH; gpu.py sees to that.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import timing
import torch
from oracle import textbook
from training_cases import random_images, small_spec

from gan_bench import environment
from gan_bench.data.dataset import datasets, resized
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.models.model import models
from gan_bench.spec import Evaluation
from gan_bench.training import tuning
from gan_bench.training.layers import WAYS, Convolution
from gan_bench.training.trainer import Trainer

F64 = torch.float64
STEPS = 20
COMPILED = ("vanilla", "dcgan28")


def finished(trainer: Trainer) -> Trainer:
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


def weights(trainer: Trainer, lane: int = 0) -> dict[str, torch.Tensor]:
    return {
        f"{net}.{name}": value[lane].to(F64)
        for net, state in (("g", trainer.g), ("d", trainer.d))
        for part in (state.params, state.buffers)
        for name, value in part.items()
    }


def moved(one: dict[str, torch.Tensor], start: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return how far each tensor has moved, in units of the farthest: a few steps move weights by little."""
    changes = {name: value - start[name] for name, value in one.items() if value.is_floating_point()}
    return {name: change / change.abs().max().clamp(min=1e-12) for name, change in changes.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float) -> None:
    for name, value in one.items():
        difference = (value - other[name].to(value)).abs().max().item()
        assert difference <= tolerance * max(1.0, value.abs().max().item()), f"{name} differs by {difference:.3g}"


def equals_the_textbook(name: str, device: torch.device) -> None:
    """Twenty steps in float64, captured as a graph on a GPU, end where torch.optim's loop ends."""
    spec = small_spec(name, lr_g=3e-4, lr_d=1e-4)
    images = random_images(spec.image_size).to(device)
    trainer = Trainer([spec], images, device, F64)
    start = {
        net: {own: value[0].clone() for own, value in {**state.params, **state.buffers}.items()}
        for net, state in (("g", trainer.g), ("d", trainer.d))
    }
    tuning.warm_up(trainer, refuse)
    expected, _ = textbook(spec, images, start, STEPS)
    same(weights(finished(trainer)), {f"{net}.{k}": v for net in expected for k, v in expected[net].items()}, 1e-9)


def lanes_equal_single_runs(name: str, device: torch.device) -> None:
    """Three lanes in float64, in every way, end where three single runs end."""
    specs = [small_spec(name, seed=seed, lr_g=rate) for seed, rate in ((0, 1e-4), (1, 1e-4), (0, 4e-4))]
    images = random_images(specs[0].image_size).to(device)
    alone = [weights(finished(Trainer([spec], images, device, F64))) for spec in specs]
    for way in WAYS:
        together = Trainer(specs, images, device, F64)
        for module in (together.g_net, together.d_net):
            for layer in module.modules():
                if isinstance(layer, Convolution):
                    layer.way = way
        finished(together)
        for lane, expected in enumerate(alone):
            same(expected, weights(together, lane), 1e-8)


def a_graph_is_an_eager_run(name: str, device: torch.device) -> None:
    """In fp32, a run of captured steps follows the eager run, and its random streams end in the same state."""
    spec = small_spec(name)
    images = random_images(spec.image_size).to(device)
    eager, captured = Trainer([spec], images, device), Trainer([spec], images, device)
    tuning.warm_up(captured, refuse)
    assert captured.graph or device.type != "cuda", "no graph was captured"
    start = weights(eager)
    one, other = (moved(weights(finished(each)), start) for each in (eager, captured))
    apart = {name: (one[name] - other[name]).abs().mean().item() for name in one}
    assert max(apart.values()) < 0.1, f"weights moved differently: {max(apart, key=lambda name: apart[name])}"
    states = eager.state(0).arrays, captured.state(0).arrays
    for stream in (key for key in states[0] if key.startswith("stream.")):
        assert (states[0][stream] == states[1][stream]).all(), f"{stream} ended in another state"


def a_failed_capture_leaves_no_trace(name: str, device: torch.device) -> None:
    """After a step that waits for the device was refused as a graph, a run goes on as one that was left alone."""
    spec = small_spec(name)
    images = random_images(spec.image_size).to(device)
    alone, tried = Trainer([spec], images, device, F64), Trainer([spec], images, device, F64)
    notices: list[str] = []
    advance = tried.advance

    def waiting() -> None:
        advance()
        tried.is_finite(0)

    tried.advance = waiting  # type: ignore[method-assign]
    tuning.capture(tried, notices.append)
    tried.advance = advance  # type: ignore[method-assign]
    assert device.type != "cuda" or (tried.graph is None and notices), "a step that waits was captured"
    tried.graph = None
    tuning.warm_up(tried, refuse)
    same(weights(finished(alone)), weights(finished(tried)), 1e-9)


def captured_lanes_are_eager_ones(name: str, device: torch.device) -> None:
    """An epoch of three captured lanes, in fp32 and bf16, has the losses of the eager one."""
    for precision, tolerance in (("fp32", 1e-2), ("bf16", 5e-2)):
        specs = [small_spec(name, seed=seed, precision=precision) for seed in (0, 1, 2)]
        images = random_images(specs[0].image_size).to(device)
        eager, captured = Trainer(specs, images, device), Trainer(specs, images, device)
        tuning.warm_up(captured, refuse)
        assert captured.graph or device.type != "cuda", "no graph was captured"
        for one, other in zip(eager.train_epoch(), captured.train_epoch(), strict=True):
            apart = max(abs(one.d_loss - other.d_loss), abs(one.g_loss - other.g_loss))
            assert apart < tolerance, f"{precision}: losses differ by {apart:.3g}"


def goes_on_from_a_checkpoint(name: str, device: torch.device) -> None:
    """A run that goes on from a checkpoint follows the undisturbed one, in float64."""
    spec = small_spec(name)
    images = random_images(spec.image_size).to(device)
    whole, first, second = (Trainer([spec], images, device, F64) for _ in range(3))
    tuning.warm_up(first, refuse)
    first.train_steps(pause=lambda: first.step >= 5)
    second.load_state_(0, first.state(0))
    tuning.warm_up(second, refuse)
    same(weights(finished(whole)), weights(finished(second)), 1e-9)


def deterministic_runs_are_equal(name: str, device: torch.device) -> None:
    """With a fixed order of sums, two fp32 runs are equal bit for bit, one of them from a checkpoint."""
    spec = small_spec(name)
    images = random_images(spec.image_size).to(device)
    before = torch.are_deterministic_algorithms_enabled()
    environment.be_deterministic()
    try:
        whole, first, second = (Trainer([spec], images, device) for _ in range(3))
        for trainer in (whole, first):
            tuning.warm_up(trainer, refuse)
        first.train_steps(pause=lambda: first.step >= 5)
        second.load_state_(0, first.state(0))
        tuning.warm_up(second, refuse)
        same(weights(finished(whole)), weights(finished(second)), 0.0)
    finally:
        torch.use_deterministic_algorithms(before)


def precisions_are_near(name: str, device: torch.device) -> None:
    """Losses of an epoch in bf16 (and tf32 on a GPU) are near those in fp32."""
    images = random_images(small_spec(name).image_size).to(device)
    epochs = {}
    for precision in ("fp32", "bf16", *(["tf32"] if device.type == "cuda" else [])):
        trainer = Trainer([small_spec(name, precision=precision)], images, device)
        tuning.warm_up(trainer, refuse)
        epochs[precision] = trainer.train_epoch()[0]
    for precision, epoch in epochs.items():
        assert abs(epoch.d_loss - epochs["fp32"].d_loss) < 0.05, f"{precision}: {epoch.d_loss}"


def compiled_is_near(name: str, device: torch.device) -> None:
    """What torch.compile makes of the nets gives the losses of eager steps."""
    spec = small_spec(name)
    images = random_images(spec.image_size).to(device)
    eager, compiled = Trainer([spec], images, device), Trainer([spec], images, device)
    compiled.compile(True)
    one, other = eager.train_epoch()[0], compiled.train_epoch()[0]
    assert abs(one.d_loss - other.d_loss) < 1e-2, f"{one.d_loss} and {other.d_loss}"
    assert abs(one.g_loss - other.g_loss) < 1e-2, f"{one.g_loss} and {other.g_loss}"


def refuse(notice: str) -> None:
    raise AssertionError(notice)


CHECKS: tuple[Callable[[str, torch.device], None], ...] = (
    equals_the_textbook,
    lanes_equal_single_runs,
    a_graph_is_an_eager_run,
    a_failed_capture_leaves_no_trace,
    captured_lanes_are_eager_ones,
    goes_on_from_a_checkpoint,
    deterministic_runs_are_equal,
    precisions_are_near,
)


def scores_are_the_cpus(device: torch.device, root: Path) -> None:
    """FID, inception score and KID of the same images are the same on both devices."""
    data = datasets.get("mnist").load(root, offline=True, notify=print)
    fakes = resized(data.train[:2000], 28).roll(2, -1)  # not quite real, so that no score is near nothing
    values = []
    for place in (torch.device("cpu"), device):
        plan = Evaluation(samples=2000)
        evaluator = Evaluator(data, plan, device=place, cache_dir=None, offline=True, notify=print)
        evaluator.prepare(lambda done, total: None)
        values.append(evaluator.score(fakes.to(place), epoch=1, step=1, progress=lambda done, total: None))
    for cpu, gpu in zip(*values, strict=True):
        assert abs(cpu.value - gpu.value) <= 1e-3 * max(1.0, abs(cpu.value)), (
            f"{cpu.metric}: {cpu.value}, {gpu.value}"
        )


def check(device: torch.device, root: Path, out: Path | None) -> list[dict[str, str]]:
    """Make every check; return their names with "ok" or what went wrong. `out` has those made, from the first."""
    cases: list[tuple[str, Callable[[], None]]] = [
        (f"{function.__name__}, {name}", functools.partial(function, name, device))
        for function in CHECKS
        for name in models
    ]
    if device.type == "cuda":  # a minute each
        cases += [
            (f"{compiled_is_near.__name__}, {name}", functools.partial(compiled_is_near, name, device))
            for name in COMPILED
        ]
    cases.append((scores_are_the_cpus.__name__, functools.partial(scores_are_the_cpus, device, root)))
    found = []
    for name, case in cases:
        try:
            case()
            outcome = "ok"
        except Exception as error:
            traceback.print_exc()
            outcome = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{outcome:<4} {name}", flush=True)
        found.append({"check": name, "outcome": outcome})
        timing.keep(out, device, found)
    return found


def main() -> None:
    given = timing.options(__doc__).parse_args()
    device = environment.find_device(given.device)
    found = check(device, given.data_root, given.out)
    sys.exit(any(each["outcome"] != "ok" for each in found))


if __name__ == "__main__":
    main()
