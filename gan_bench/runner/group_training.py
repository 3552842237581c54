"""Training of one group: epochs, checkpoints, grids and records of its runs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from gan_bench.core import events, signals
from gan_bench.core.errors import RunError
from gan_bench.core.failures import failure_reason, log_tail
from gan_bench.core.records import Checkpoint, EpochRecord, Status
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.base import resized
from gan_bench.devices import memory, numerics
from gan_bench.devices.energy import EnergyMeter
from gan_bench.metrics.verdict import judge
from gan_bench.runner import environment, provenance
from gan_bench.runner.context import RunContext
from gan_bench.runner.evaluate import report_progress
from gan_bench.runner.run_state import RunState, utc_now
from gan_bench.store.store import Store
from gan_bench.training import warmup
from gan_bench.training.divergence import CHECK_STEPS
from gan_bench.training.profile import profile_steps
from gan_bench.training.sampling import GRID_SIDE, NonFiniteImagesError, evaluation_stream, image_grid
from gan_bench.training.trainer import Trainer

PROGRESS_SECONDS = 0.2
CHECKPOINT_SECONDS = 5.0
"""Shorter epochs share a checkpoint."""


class GroupTraining:
    """Trains runs as lanes of one program and records their progress in the store."""

    def __init__(
        self,
        specs: Sequence[TrainingSpec],
        checkpoints: Sequence[Checkpoint | None],
        store: Store,
        context: RunContext,
        on_event: events.OnEvent,
    ) -> None:
        self.specs, self.checkpoints = specs, checkpoints
        self.store, self.context, self.on_event = store, context, on_event
        self.eval_every = context.options.eval_every
        self.device = context.device
        if context.options.deterministic and self.device.type == "cuda":
            numerics.use_deterministic_algorithms()
        self.trainer: Trainer | None = None
        self.run_ids = tuple(spec.run_id for spec in specs)
        self._saved_at = time.monotonic()
        self._memory_is_known = False
        data = context.data(specs[0].dataset, on_event)
        about = environment.describe(self.device, context.options) | {
            **provenance.code(specs[0]),
            "dataset_sha256": data.sha256,
            "dataset_source": data.source,
            "train_images": len(data.train),
            "lanes": len(specs),
            "from_step": int(checkpoints[0].state["step"]) if checkpoints and checkpoints[0] else 0,
        }
        self.runs = [
            RunState(spec, lane, store.begin(spec, about), started_at=utc_now()) for lane, spec in enumerate(specs)
        ]

    def train(self) -> None:
        """Train to the end; record a failure of any kind for every run that has no outcome by then."""
        try:
            trainer, meter = self._start(), EnergyMeter.of(self.device)
            while not trainer.finished and self._active():
                meter.start()
                trainer.train_steps(self._report_steps(trainer), lambda: self._pause_is_due(trainer))
                joules = meter.stop()
                for run in self._active():
                    run.add_energy(joules, meter.source)
                self._note_memory()
                self._end_diverged(trainer)
                if self._checkpoint_is_due(trainer):
                    self._save(trainer)
                signals.check()
                if trainer.epoch_is_trained and self._active():
                    self._finish_epoch(trainer)
            for run in self._active():
                self.store.add_scores(run.spec, run.best)
                # with --eval-every the final scores may be complete: a kill before evaluate_run must not lose this
                verdict, why = judge(self.store.scores(run.spec))
                self._record(run, "done", verdict=verdict, verdict_reason=why)
        except RunError:  # the results can't be stored
            raise
        except Exception as error:
            reason, log = failure_reason(error), log_tail(traceback.format_exc())
            for run in self._active():
                self._record(run, "failed", reason, log_tail=log)

    def _start(self) -> Trainer:
        """Build the trainer, restore checkpoints, warm up, and profile if asked for."""
        first = self.specs[0]
        if self.eval_every:
            self.evaluator = self.context.evaluator(first.dataset, self.on_event)
            self.evaluator.prepare(report_progress(self.on_event, ""))
        memory.reset_peak_memory(self.device)
        data = self.context.training_set(first, self.on_event)
        trainer = Trainer(self.specs, data, self.device, cpu_kernels=self.context.options.cpu_kernels)
        self.trainer = trainer
        real = resized(self.context.data(first.dataset, self.on_event).test[: GRID_SIDE**2], first.image_size)
        for run, checkpoint in zip(self.runs, self.checkpoints, strict=True):
            if checkpoint:
                trainer.load_state(run.lane, checkpoint)
                run.load(checkpoint.state)
            self.store.add_real_grid(run.spec, image_grid(real))
        self.on_event(events.GroupStarted(self.run_ids, trainer.step, trainer.total_steps))
        seconds = warmup.warm_up(trainer, self._group_notices())
        for run in self.runs:
            run.warmup_seconds += seconds
        if self.context.profiled.intersection(self.run_ids) and trainer.step < trainer.total_steps:
            profile, trace = profile_steps(trainer)
            path = self.store.add_trace(first, trace)
            self.on_event(events.StepProfiled(self.run_ids, profile, str(path)))
        return trainer

    def _group_notices(self) -> events.OnEvent:
        """Return a listener that adds this group's run ids to notices."""

        def emit(event: Any) -> None:
            self.on_event(events.Notice(event.text, self.run_ids) if isinstance(event, events.Notice) else event)

        return emit

    def _note_memory(self) -> None:
        """Record the peak of the first stretch: later ones are equal, or include evaluations."""
        if self._memory_is_known:
            return
        self._memory_is_known = True
        peak = memory.peak_memory(self.device)[0]
        for run in self.runs:
            run.peak_memory_bytes = max(peak, run.peak_memory_bytes or 0)

    def _pause_is_due(self, trainer: Trainer) -> bool:
        """Return whether to look for divergence, which every checkpoint waits for."""
        return trainer.step % CHECK_STEPS == 0 or self._checkpoint_is_due(trainer)

    def _checkpoint_is_due(self, trainer: Trainer) -> bool:
        """Return whether a checkpoint is due before the epoch is finished: by time, or ahead of an evaluation."""
        if signals.stop_requested():
            return True
        waited = time.monotonic() - self._saved_at
        every = self.context.options.checkpoint_every
        if trainer.epoch_is_trained and self._evaluation_is_due(trainer, trainer.epoch + 1):
            return waited >= min(CHECKPOINT_SECONDS, every)
        return waited >= every

    def _evaluation_is_due(self, trainer: Trainer, epoch: int) -> bool:
        return self.eval_every is not None and (epoch == trainer.epochs or epoch % self.eval_every == 0)

    def _save(self, trainer: Trainer) -> None:
        for run in self._active():
            trained = trainer.state(run.lane)
            self.store.checkpoint(run.spec, Checkpoint(trained.arrays, {**trained.state, **run.state()}))
        self._saved_at = time.monotonic()

    def _finish_epoch(self, trainer: Trainer) -> None:
        epochs = trainer.close_epoch()
        for run in self._active():
            epoch = epochs[run.lane]
            run.train_seconds += epoch.epoch_seconds
            self.store.add_epoch(run.spec, epoch)
            try:
                self._sample(run, epoch, trainer)
            except NonFiniteImagesError as error:
                self._record(run, "diverged", f"{error} after step {epoch.step}")
        if trainer.finished or time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            self._save(trainer)
        for run in self._active():
            self.on_event(events.EpochFinished(run.spec.run_id, epochs[run.lane]))

    def _sample(self, run: RunState, epoch: EpochRecord, trainer: Trainer) -> None:
        """Draw an epoch's grid, and evaluate the epoch if that is due."""
        self.store.add_grid(run.spec, epoch.epoch, image_grid(trainer.sampler(run.lane).sample_grid()))
        if self._evaluation_is_due(trainer, epoch.epoch):
            self._evaluate(run, epoch, trainer)

    def _end_diverged(self, trainer: Trainer) -> None:
        """Record runs whose losses or weights left any sane range as diverged; the other lanes continue."""
        reasons = trainer.divergence()
        for run in self._active():
            if run.lane in reasons:
                run.train_seconds += trainer.open_epoch_seconds
                self._record(run, "diverged", reasons[run.lane])

    def _evaluate(self, run: RunState, epoch: EpochRecord, trainer: Trainer) -> None:
        """Evaluate a run during training (--eval-every), and keep its weights if they are the best so far."""
        start = time.perf_counter()
        weights = trainer.generator_state(run.lane)
        sampler, stream = self.context.sampler(run.spec, weights), evaluation_stream(0)
        scores = self.evaluator.score(
            sampler.sample(self.evaluator.n_fake, stream),
            epoch=epoch.epoch,
            step=epoch.step,
            progress=report_progress(self.on_event, run.spec.run_id),
            labels=sampler.draw_labels(self.evaluator.n_fake, stream),
        )
        run.eval_seconds += time.perf_counter() - start
        self.store.add_scores(run.spec, scores)
        if run.update_best(scores):
            self.store.keep_best(run.spec, weights)

    def _record(self, run: RunState, status: Status, reason: str = "", **values: Any) -> None:
        """Write a run's record; report a run that is not done, because no evaluation follows."""
        run.active = False
        record = run.record(status, reason, self.trainer, self.device, len(self.runs))
        record = record.model_copy(update={"dataset_requested": self.context.dataset_requested, **values})
        self.store.finish(run.spec, record)
        if status != "done":
            self.on_event(events.RunFinished(record))

    def _active(self) -> list[RunState]:
        return [run for run in self.runs if run.active]

    def _report_steps(self, trainer: Trainer) -> Callable[[int], None]:
        """Return a callback that emits StepProgress a few times a second."""
        last = time.monotonic()

        def on_step(step: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= PROGRESS_SECONDS:
                last = now
                self.on_event(events.StepProgress(self.run_ids, step, trainer.total_steps))

        return on_step
