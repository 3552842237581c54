"""Trainer: trains a group of runs, epoch by epoch, on data that is on the device."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from gan_bench.core.errors import unknown
from gan_bench.core.frozen import Frozen
from gan_bench.core.option_fields import BatchNormStatistics
from gan_bench.core.records import Checkpoint, EpochRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.batch import Batch
from gan_bench.devices import memory, numerics
from gan_bench.losses.base import build_loss
from gan_bench.models.base import Model, build_model
from gan_bench.penalties.base import build_penalty, penalty_parts
from gan_bench.training import precision, state
from gan_bench.training.clock import Clock, synchronize
from gan_bench.training.cpu_kernels import CPUKernels
from gan_bench.training.cuda_graph import Graph
from gan_bench.training.epoch import Epoch
from gan_bench.training.group_state import GroupState
from gan_bench.training.penalty_schedule import Penalized, PenaltySchedule
from gan_bench.training.sampling import Sampler
from gan_bench.training.step import MEASURES, Step
from gan_bench.training.step_noise import PenaltyNoise, StepNoise, StepNoiseSampler

OnStep: TypeAlias = Callable[[int], None]
Advance: TypeAlias = Callable[[], None]
"""Makes one step on tensors that stay in place; nothing of it depends on the host."""


class Trainer:
    """Trains runs that differ only in seed and learning rates as lanes of one program; one run is one lane.

    `data` is the training set on the device: images uint8 [N, C, H, W], labels [N] or None. `dtype` is that of the
    parameters (float64 for comparisons with the textbook loop). A step is one update of G and `d_steps` of D, each
    on its own batch. An epoch is N // (batch_size * d_steps) steps: the remainder of a permutation is dropped, so
    that every step has the same shapes.
    """

    def __init__(
        self,
        specs: Sequence[TrainingSpec],
        data: Batch,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        cpu_kernels: CPUKernels = "auto",
    ) -> None:
        first = specs[0]
        self.specs, self.data, self.device, self.dtype = tuple(specs), data, device, dtype
        model = build_model(first)
        self.recipe, self.batch_size = model.recipe, first.batch_size
        self.images_per_step = first.batch_size * self.recipe.d_steps
        """Real images that a step takes for each lane."""
        self.steps_per_epoch = first.steps_per_epoch(len(data))
        self.total_steps = first.total_steps(len(data))
        self.epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        self.step = 0
        self.epoch = 0
        self.graphs: dict[Penalized, Graph] = {}
        """Captured steps (see warmup.py), by the updates of D with a penalty; steps run eagerly without one."""
        self._set_up_device(first)
        self._set_up_networks(model, first, cpu_kernels)

    def _set_up_device(self, first: TrainingSpec) -> None:
        if self.device.type == "cpu":
            memory.keep_freed_memory()
        else:  # every step has the same shapes: the fastest kernels are searched for once
            torch.backends.cudnn.benchmark = not numerics.is_deterministic()
        if self.device.type == "cuda":  # timing and capture use the current device
            torch.cuda.set_device(self.device)
        precision.set_matmul(first.precision)

    def _set_up_networks(self, model: Model, first: TrainingSpec, cpu_kernels: CPUKernels) -> None:
        device, dtype, recipe = self.device, self.dtype, self.recipe
        self.group = group = GroupState(model, self.specs, device, dtype)
        self.g, self.d = group.g, group.d
        self.compute_dtype = compute = precision.compute_dtype(first.precision, dtype)
        loss, penalty = build_loss(first), build_penalty(first)
        penalty_recipes = [part.recipe_type for part in penalty_parts(first.penalty)]
        _check_settings(first, [type(model.recipe), type(loss.recipe), *penalty_recipes])
        self.penalties = PenaltySchedule(penalty.interval if penalty else None, recipe.d_steps)
        self._step = Step(model, group.g_net, group.d_net, loss, penalty, compute, device, cpu_kernels)
        dropouts = state.dropouts(group.d_net)
        shape = (self.batch_size, recipe.z_dim)
        self._draw_noise = StepNoiseSampler(
            recipe.noise, shape, dropouts, dtype, compute, loss.uses_real_in_generator
        )
        self._penalty_noise = PenaltyNoise(group.streams, dropouts, dtype, compute)
        self._epoch = Epoch(
            group.streams, len(self.data), self.batch_size, recipe.d_steps, self.total_steps, device, dtype
        )
        if self.lanes > 1:
            self._step.prepare_lanes(
                self.g, self.d, (self.batch_size, recipe.z_dim), (self.batch_size, *self.data.images.shape[1:])
            )

    @property
    def lanes(self) -> int:
        """Number of runs trained together."""
        return len(self.specs)

    @property
    def finished(self) -> bool:
        """Whether all steps are made and the last epoch is closed."""
        return self.step >= self.total_steps and not self._epoch.is_open

    @property
    def epoch_is_trained(self) -> bool:
        """Whether all steps of the open epoch are made."""
        return self._epoch.is_trained

    @property
    def open_epoch_seconds(self) -> float:
        """Seconds trained of the open epoch; 0 if none is open."""
        return self._epoch.seconds if self._epoch.is_open else 0.0

    def divergence(self) -> Mapping[int, str]:
        """Return why each diverged lane did, by lane, as of the open epoch; waits for the device."""
        return self._epoch.watch.reasons(self.g, self.d, self.step)

    @property
    def g_net(self) -> nn.Module:
        """The generator's structure, as it is called on several lanes."""
        return self._step.g.module

    @property
    def d_net(self) -> nn.Module:
        """The discriminator's structure, as it is called on several lanes."""
        return self._step.d.module

    def run_trial(self, advance: Advance, steps: int) -> tuple[Tensor, float]:
        """Make steps of a new epoch, then restore the state; return the sums of MEASURES [4, lanes], and seconds.

        `advance` makes one step: `advance`, `next_step()` or an equivalent.
        """
        with self.preserved_state():
            self._epoch.open(self.step)
            clock = Clock(self.device)
            for step in range(steps):
                if step % self.steps_per_epoch == 0:
                    self._epoch.rewind()
                advance()
                self.step += 1
            return self._epoch.sums(), clock.seconds()

    @contextlib.contextmanager
    def preserved_state(self) -> Iterator[None]:
        """Restore everything that the block trains: weights, random streams, the epoch and its clock."""
        before = [self.state(lane) for lane in range(self.lanes)]
        try:
            yield
        finally:
            for lane, checkpoint in enumerate(before):
                self.load_state(lane, checkpoint)
            synchronize(self.device)

    def train_epoch(self, on_step: OnStep = lambda step: None) -> list[EpochRecord]:
        """Train to the end of the epoch, or of the run, and return one record per lane; see `train_steps`."""
        self.train_steps(on_step)
        return self.close_epoch()

    def train_steps(self, on_step: OnStep = lambda step: None, pause: Callable[[], bool] = lambda: False) -> None:
        """Train until the epoch's steps are made, or until `pause`, called after every step, returns true.

        `on_step` is called with the number of steps made so far, without synchronizing the device. A paused epoch
        continues at the next call, or from a checkpoint, as if it had not been paused.
        """
        epoch = self._epoch
        if not epoch.is_open:
            epoch.open(self.step)
        count = epoch.count
        clock = Clock(self.device)
        while epoch.position < count:
            self.next_step()()
            epoch.position += 1
            self.step += 1
            on_step(self.step)
            if pause():
                break
        epoch.seconds += clock.seconds()

    def close_epoch(self) -> list[EpochRecord]:
        """Close an epoch whose steps are all made, and return one record per lane."""
        epoch = self._epoch
        means = epoch.close()
        self.epoch += 1
        return [
            EpochRecord(
                epoch=self.epoch,
                step=self.step,
                **{name: means[row][lane] for row, name in enumerate(MEASURES)},
                epoch_seconds=epoch.seconds,
                images_per_second=epoch.count * self.images_per_step / epoch.seconds,
            )
            for lane in range(self.lanes)
        ]

    def generators(self) -> list[torch.Generator]:
        """Return the random number generators that a step draws from."""
        names = ("noise", "dropout") if self.penalties.interval is None else ("noise", "dropout", "penalty")
        return [lane[name] for lane in self.group.streams for name in names]

    def compile_networks(self, on: bool) -> None:
        """Switch torch.compile on or off; the first compiled step is slow. Captured steps are dropped."""
        for net in (self._step.g, self._step.d):
            net.compile(on)
        self.graphs = {}

    def next_step(self) -> Callable[[], None]:
        """Return the function that makes the next step: a captured graph of it if there is one, or `advance`."""
        return self.graphs[self.penalties.at(self.step)] if self.graphs else self.advance

    def advance(self, penalized: Penalized | None = None) -> None:
        """Make one step eagerly, all of it on the device and on tensors that stay in place.

        `penalized` is that of the next step by default.
        """
        penalties = [self._penalty_noise if each else None for each in penalized or self.penalties.at(self.step)]
        group = self.group
        self._epoch.add(self._step(self.g, self.d, group.g_adam, group.d_adam, self._inputs(), penalties))

    def _inputs(self) -> Iterator[tuple[Batch, StepNoise]]:
        """Draw the batch and the noise of each update of D in a step."""
        for d_step in range(self.recipe.d_steps):
            is_last = d_step == self.recipe.d_steps - 1
            batch = self.data.select(self._epoch.batch_index(d_step))
            yield batch, self._draw_noise(self.group.streams, updates_g=is_last)

    def sampler(self, lane: int, batch_norm: BatchNormStatistics = "running") -> Sampler:
        """Return a sampler of the lane's generator, with its current weights until they are trained further."""
        tensors = {name: value[lane : lane + 1] for name, value in {**self.g.params, **self.g.buffers}.items()}
        labels = self.data.labels if self.specs[lane].n_classes else None
        return Sampler(self._step.g, tensors, self.recipe, self.specs[lane].seed, batch_norm, labels)

    def generator_state(self, lane: int) -> Checkpoint:
        """Return a copy of the generator's parameters and buffers: enough to sample from."""
        return Checkpoint(self.group.generator_arrays(lane), {"step": self.step, "epoch": self.epoch})

    def state(self, lane: int) -> Checkpoint:
        """Return a copy of the lane's complete training state, from which it continues as if uninterrupted."""
        counts = {"step": self.step, "epoch": self.epoch, "updates": self.group.g_adam.steps}
        epoch_arrays, epoch_state = self._epoch.lane_state(lane)
        return Checkpoint({**self.group.arrays(lane), **epoch_arrays}, {**counts, **epoch_state})

    def load_state(self, lane: int, checkpoint: Checkpoint) -> None:
        """Restore a lane from the result of `state`; all lanes must be at the same step."""
        self.group.load(lane, checkpoint)
        self.step, self.epoch = int(checkpoint.state["step"]), int(checkpoint.state["epoch"])
        self._epoch.load(lane, checkpoint.arrays, checkpoint.state)


def _check_settings(spec: TrainingSpec, recipes: Sequence[type[Frozen]]) -> None:
    """Raise InputError for a setting that is no value of the model's, the loss's or the penalty's recipe."""
    fields = set().union(*(recipe.model_fields for recipe in recipes))
    for key in spec.settings:
        if key not in fields:
            raise unknown(f"setting of {spec.label}", key, fields)
