"""The one trainer: a group of runs, epoch by epoch, on data that lives on the device."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gan_bench import environment
from gan_bench.errors import InputError
from gan_bench.losses.loss import losses
from gan_bench.models.model import build_model
from gan_bench.record import Checkpoint, EpochRecord
from gan_bench.spec import RunSpec
from gan_bench.training import precision, state
from gan_bench.training.clock import Clock, synchronise
from gan_bench.training.draws import Drawing
from gan_bench.training.epoch import Epoch
from gan_bench.training.generator import draw
from gan_bench.training.optimiser import Adam
from gan_bench.training.program import Advance, Graph
from gan_bench.training.step import MEASURES, Step
from gan_bench.training.streams import Streams, draw_noise, generator

OnStep: TypeAlias = Callable[[int], None]


class Trainer:
    """Trains runs that differ only in seed and learning rates as lanes of one program; one run is one lane.

    `images` is the training set, uint8 [N, C, H, W], on the device. `dtype` is what parameters are kept in
    (float64 for comparisons with the oracle). An epoch is N // batch_size steps: the remainder of a
    permutation is dropped, so that every step has the same shape.
    """

    def __init__(
        self, specs: Sequence[RunSpec], images: Tensor, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        first = specs[0]
        self.specs, self.images, self.device, self.dtype = tuple(specs), images, device, dtype
        self.batch_size = first.batch_size
        self.steps_per_epoch = len(images) // first.batch_size
        if not self.steps_per_epoch:
            raise InputError(
                f"--batch-size {first.batch_size} exceeds the {len(images)} training images of {first.dataset}: "
                f"choose at most {len(images)}"
            )
        self.total_steps = first.steps or (first.epochs or 1) * self.steps_per_epoch
        self.epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        self.step = 0
        self.epoch = 0

        if device.type == "cpu":
            environment.keep_freed_memory()
        else:  # every step has the same shapes: the search for the fastest kernels is made once
            torch.backends.cudnn.benchmark = not environment.is_deterministic()
        if device.type == "cuda":  # what is timed and captured is what the current device does
            torch.cuda.set_device(device)
        precision.set_matmul(first.precision)
        model = build_model(first)
        self.recipe = model.recipe
        with torch.device("meta"):  # structure only: every tensor is this class's own
            self.g_net, self.d_net = model.generator(), model.discriminator()
        seeds = [spec.seed for spec in specs]
        self.g = state.initial(self.g_net, seeds, "g", self.recipe.init, device, dtype)
        self.d = state.initial(self.d_net, seeds, "d", self.recipe.init, device, dtype)
        betas = (self.recipe.beta1, self.recipe.beta2)
        self._g_adam = Adam(self.g, [spec.lr_g for spec in specs], *betas)
        self._d_adam = Adam(self.d, [spec.lr_d for spec in specs], *betas)
        self.compute_dtype = compute = precision.compute_dtype(first.precision, dtype)
        self._step = Step(self.g_net, self.d_net, losses.get(first.loss)(), compute, device)
        self._drawing = Drawing(
            self.recipe.noise,
            (self.batch_size, self.recipe.z_dim),
            state.dropouts(self.d_net),
            dtype,
            compute,
        )
        self._streams = [Streams(seed, device) for seed in seeds]
        self._epoch = Epoch(self._streams, len(images), self.batch_size, self.total_steps, device, dtype)
        self.graph: Graph | None = None
        """What makes a step where it was captured (see tuning.py); `advance` makes it elsewhere."""

    @property
    def lanes(self) -> int:
        """How many runs are trained together."""
        return len(self.specs)

    @property
    def finished(self) -> bool:
        """Whether every step was made, and every epoch told."""
        return self.step >= self.total_steps and not self._epoch.is_open

    @property
    def epoch_is_trained(self) -> bool:
        """Whether every step of the epoch that is open was made."""
        return self._epoch.is_trained

    def parameters(self) -> tuple[int, int]:
        """Return how many parameters one generator and one discriminator have."""
        counts = [sum(value[0].numel() for value in net.params.values()) for net in (self.g, self.d)]
        return counts[0], counts[1]

    def try_out(self, program: Advance, steps: int) -> tuple[Tensor, float]:
        """Make steps of a fresh epoch that leave no trace; return the sums of MEASURES [4, lanes], and seconds.

        `program` makes one step: `advance`, or what does the same.
        """
        clock = Clock(self.device)
        with self.taken_back():
            self._epoch.open(self.step)
            clock.start()
            for step in range(steps):
                if step % self.steps_per_epoch == 0:
                    self._epoch.rewind()
                program()
            return self._epoch.sums(), clock.stop()

    @contextlib.contextmanager
    def taken_back(self) -> Iterator[None]:
        """Put back whatever the block trains: weights, random streams, the epoch and its clock."""
        before = [self.state(lane) for lane in range(self.lanes)]
        try:
            yield
        finally:
            for lane, checkpoint in enumerate(before):
                self.load_state_(lane, checkpoint)
            synchronise(self.device)

    def train_epoch(self, on_step: OnStep = lambda step: None) -> list[EpochRecord]:
        """Train to the end of the epoch, or of the run, and return one record a lane; see `train_steps`."""
        self.train_steps(on_step)
        return self.close_epoch()

    def train_steps(self, on_step: OnStep = lambda step: None, pause: Callable[[], bool] = lambda: False) -> None:
        """Train until the epoch's steps are made, or until `pause`, asked after every step, says so.

        `on_step` hears the number of steps made so far; nothing waits for the device in between. A paused epoch
        is gone on with at the next call: also from a checkpoint, and as if there had been no pause.
        """
        epoch = self._epoch
        if not epoch.is_open:
            epoch.open(self.step)
        count = epoch.count
        clock = Clock(self.device)
        clock.start()
        while epoch.position < count:
            self.one_step()
            epoch.position += 1
            self.step += 1
            on_step(self.step)
            if pause():
                break
        epoch.seconds += clock.stop()

    def close_epoch(self) -> list[EpochRecord]:
        """Return one record a lane of the epoch, all of whose steps were made."""
        epoch = self._epoch
        means = epoch.close()
        self.epoch += 1
        return [
            EpochRecord(
                epoch=self.epoch,
                step=self.step,
                **{name: means[row][lane] for row, name in enumerate(MEASURES)},
                epoch_seconds=epoch.seconds,
                images_per_second=epoch.count * self.batch_size / epoch.seconds,
            )
            for lane in range(self.lanes)
        ]

    def generators(self) -> list[torch.Generator]:
        """Return the sources that a step draws from."""
        return [lane[name] for lane in self._streams for name in ("noise", "dropout")]

    def compile(self, on: bool) -> None:
        """Let torch.compile fuse the layers from the next step on, which is slow for it, or no longer."""
        self._step.compile(on)
        self.graph = None

    def one_step(self) -> None:
        """Make one step, in the way that was found to be fastest."""
        if self.graph is None:
            self.advance()
        else:
            self.graph()

    def advance(self) -> None:
        """Make one step: the whole of it on the device, on tensors that stay where they are."""
        chosen = self.images[self._epoch.next_batch()]
        draws = self._drawing(self._streams)
        self._epoch.add_(self._step(self.g, self.d, self._g_adam, self._d_adam, chosen, draws))

    def generate(self, lane: int, noise: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W] for noise [n, z_dim], with BatchNorm's running statistics.

        They are computed in the type of the parameters, whatever the training's: scores are of the weights.
        """
        params = {name: value[lane : lane + 1] for name, value in self.g.params.items()}
        buffers = {name: value[lane : lane + 1] for name, value in self.g.buffers.items()}
        tensors = {**params, **buffers}

        def images(part: Tensor) -> Tensor:
            return self._step.g.plain(tensors, part.unsqueeze(0)).squeeze(0)

        self.g_net.eval()
        with environment.full_precision(self.device):
            drawn = draw(images, noise.to(self.dtype))
        self.g_net.train()
        return drawn

    def sample(self, lane: int, count: int, stream: str) -> Tensor:
        """Return uint8 images [count, C, H, W] from a stream that starts anew: equal calls draw equal noise."""
        source = generator(self.specs[lane].seed, stream, self.device)
        return self.generate(lane, draw_noise(self.recipe.noise, (count, self.recipe.z_dim), source, self.dtype))

    def is_finite(self, lane: int) -> bool:
        """Return whether every parameter of the lane is a finite number."""
        params = [value[lane] for net in (self.g, self.d) for value in net.params.values()]
        return bool(torch.stack([value.isfinite().all() for value in params]).all().item())

    def generator_state(self, lane: int) -> Checkpoint:
        """Return a copy of what is needed to draw samples: the generator's parameters and buffers."""
        arrays = {
            f"g.{name}": value.detach().cpu().numpy().copy()
            for name, value in self.g.lane(lane).items()
            if name.startswith(("params.", "buffers."))
        }
        return Checkpoint(arrays, {"step": self.step, "epoch": self.epoch})

    def state(self, lane: int) -> Checkpoint:
        """Return a copy of all that the lane needs to continue as if it had not been interrupted."""
        arrays = {
            f"{net}.{name}": value.detach().cpu().numpy().copy()
            for net, tensors in (("g", self.g.lane(lane)), ("d", self.d.lane(lane)))
            for name, value in tensors.items()
        }
        arrays |= {f"stream.{name}": value.numpy().copy() for name, value in self._streams[lane].state().items()}
        state: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "updates": self._g_adam.steps}
        epoch_arrays, epoch_state = self._epoch.state(lane)
        return Checkpoint({**arrays, **epoch_arrays}, {**state, **epoch_state})

    def load_state_(self, lane: int, checkpoint: Checkpoint) -> None:
        """Continue a lane from what `state` returned; the group's lanes must all be at the same step."""
        tensors = {name: torch.from_numpy(np.array(each)) for name, each in checkpoint.arrays.items()}
        self.g.load_lane_(lane, _under("g.", tensors))
        self.d.load_lane_(lane, _under("d.", tensors))
        self._streams[lane].load(_under("stream.", tensors))
        self.step, self.epoch = int(checkpoint.state["step"]), int(checkpoint.state["epoch"])
        self._g_adam.steps = self._d_adam.steps = int(checkpoint.state["updates"])
        self._epoch.load_(lane, checkpoint.arrays, checkpoint.state)


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
