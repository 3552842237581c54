"""One group of runs: data -> train -> sample -> score -> records."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gan_bench import environment, interruption
from gan_bench.data.dataset import resized
from gan_bench.errors import RunError, RunTakenError
from gan_bench.lane import Lane, now
from gan_bench.matrix import Group
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.verdict import judge
from gan_bench.place import Place
from gan_bench.reason import reason_of, tail
from gan_bench.record import Checkpoint, EpochRecord, Observer, Progress, RunSink, Status
from gan_bench.registry import load_plugins
from gan_bench.spec import Evaluation, RunSpec
from gan_bench.training import tuning
from gan_bench.training.generator import GRID_SIDE, grid
from gan_bench.training.profile import profile_steps
from gan_bench.training.trainer import Trainer

if TYPE_CHECKING:
    from gan_bench.record import Images

STEP_NEWS_SECONDS = 0.2
CHECKPOINT_SECONDS = 5.0
"""Epochs shorter than this share a checkpoint."""


def run_group(group: Group, observer: Observer, *, open_sink: Callable[[], RunSink], place: Place) -> None:
    """Train, score and record every run of a group; runs that were interrupted continue from their checkpoints.

    Runs that another process trains, or has finished meanwhile, are left to it. What goes wrong in training is
    recorded as `failed` with its reason. Only RunError (the store can't write), a broken pipe (whoever listened is
    gone) and interrupts come out of here.
    """
    load_plugins(place.plugins)
    sink = open_sink()
    mine = [spec for spec in group.specs if sink.claim(spec)]
    try:
        found = {spec: sink.resume(spec) for spec in mine}
        reached = {spec: int(checkpoint.state["step"]) if checkpoint else 0 for spec, checkpoint in found.items()}
        for step in sorted(set(reached.values()), reverse=True):
            # lanes advance together, so those that were cut off at different steps continue apart
            together = [spec for spec in mine if reached[spec] == step]
            checkpoints = [found[spec] for spec in together]
            GroupRun(together, checkpoints, observer, sink, place).run()
    except RunTakenError as error:
        observer(Progress(kind="notice", run_ids=group.run_ids, text=str(error)))
    finally:
        for spec in mine:
            sink.release(spec)


class GroupRun:
    """The way of one group through training and scoring."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        checkpoints: Sequence[Checkpoint | None],
        observer: Observer,
        sink: RunSink,
        place: Place,
    ) -> None:
        self.specs, self.checkpoints = specs, checkpoints
        self.observer, self.sink, self.place = observer, sink, place
        self.device = environment.find_device(place.device)
        if place.deterministic and self.device.type == "cuda":
            environment.be_deterministic()
        self._saved_at = time.monotonic()
        self._memory_is_known = False
        self.run_ids = run_ids = tuple(spec.run_id for spec in specs)

        def notice(text: str) -> None:
            observer(Progress(kind="notice", run_ids=run_ids, text=text))

        self._notice = notice  # no method: an evaluator keeps it for later groups, and with it all of this one
        about = environment.describe(self.device)
        from_step = int(checkpoints[0].state["step"]) if checkpoints and checkpoints[0] else 0
        about |= {"lanes": len(specs), "from_step": from_step, "deterministic": environment.is_deterministic()}
        self.lanes = [
            Lane(spec, index, sink.begin(spec, about), started_at=now()) for index, spec in enumerate(specs)
        ]

    def run(self) -> None:
        """Train to the end; record a failure of whatever kind for every run that has no outcome by then."""
        try:
            self._run()
        except (RunError, BrokenPipeError, ConnectionResetError):  # the disk's fault, or nobody listens any more
            raise
        except Exception as error:
            reason, log = reason_of(error), tail(traceback.format_exc())
            for lane in self._active():
                self._finish(lane, "failed", reason, log_tail=log)

    def _run(self) -> None:
        first = self.specs[0]
        self.data = self.place.data(first.dataset, self._notice)
        self.evaluator = self._evaluator(first.evaluation)
        environment.reset_peak_memory(self.device)
        self.trainer = Trainer(self.specs, self.place.images(first, self._notice), self.device)
        for lane, checkpoint in zip(self.lanes, self.checkpoints, strict=True):
            if checkpoint:
                self.trainer.load_state_(lane.index, checkpoint)
                lane.load_(checkpoint.state)
            self.sink.add_real_grid(lane.spec, grid(resized(self.data.test[: GRID_SIDE**2], first.image_size)))
        self._tell("group", done=self.trainer.step, total=self.trainer.total_steps)
        warm = tuning.warm_up(self.trainer, self._notice)
        for lane in self.lanes:
            lane.warmup_seconds += warm
        if self.place.profiled.intersection(self.run_ids) and self.trainer.step < self.trainer.total_steps:
            self._profile()
        while not self.trainer.finished and self._active():
            self._train(first.evaluation)
        for lane in self._active():
            self._conclude(lane)

    def _evaluator(self, plan: Evaluation) -> Evaluator:
        evaluator = self.place.evaluator(self.data, plan, self._notice)
        evaluator.prepare(lambda done, total: self._tell_evaluation("reference", done, total))
        return evaluator

    def _profile(self) -> None:
        profile, trace = profile_steps(self.trainer)
        where = self.sink.add_trace(self.specs[0], trace)
        self._tell("profile", profile=profile, text=str(where))

    def _train(self, plan: Evaluation) -> None:
        """Train to the end of an epoch, or to a checkpoint in the middle of it."""
        self.trainer.train_steps(_throttled(lambda step: self._tell_step(step)), lambda: self._pause_is_due(plan))
        self._note_memory()
        if self._pause_is_due(plan):
            for lane in self._active():
                self.sink.checkpoint(lane.spec, self._checkpoint(lane))
            self._saved_at = time.monotonic()
        interruption.check()
        if self.trainer.epoch_is_trained:
            self._conclude_epoch(plan)

    def _note_memory(self) -> None:
        """Keep the peak of the first stretch: its steps are like all others, and evaluations would count later."""
        if self._memory_is_known:
            return
        self._memory_is_known = True
        peak = environment.peak_memory(self.device)[0]
        for lane in self.lanes:
            lane.peak_memory_bytes = max(peak, lane.peak_memory_bytes or 0)

    def _pause_is_due(self, plan: Evaluation) -> bool:
        """Say whether a checkpoint is due before the epoch is concluded: by time, or ahead of something long."""
        if interruption.asked():
            return True
        waited = time.monotonic() - self._saved_at
        if self.trainer.epoch_is_trained and self._evaluation_is_due(self.trainer.epoch + 1, plan):
            return waited >= min(CHECKPOINT_SECONDS, self.place.checkpoint_every)
        return waited >= self.place.checkpoint_every

    def _evaluation_is_due(self, epoch: int, plan: Evaluation) -> bool:
        return epoch == self.trainer.epochs or (plan.every is not None and epoch % plan.every == 0)

    def _conclude_epoch(self, plan: Evaluation) -> None:
        epochs = self.trainer.close_epoch()
        last = self.trainer.finished
        due = self._evaluation_is_due(self.trainer.epoch, plan)
        save = last or time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS
        for lane in self._active():
            epoch = epochs[lane.index]
            lane.train_seconds += epoch.epoch_seconds
            self.sink.add_epoch(lane.spec, epoch)
            if not self._healthy(lane, epoch):
                continue
            self.sink.add_grid(lane.spec, epoch.epoch, self._grid(lane))
            if due:
                self._evaluate(lane, epoch)
            if save:
                self.sink.checkpoint(lane.spec, self._checkpoint(lane))
            self._tell("epoch", run_ids=(lane.spec.run_id,), epoch=epoch, scores=tuple(lane.scores))
        if save:
            self._saved_at = time.monotonic()

    def _healthy(self, lane: Lane, epoch: EpochRecord) -> bool:
        """Record a run whose losses or weights are no longer finite as diverged; its neighbours go on."""
        losses = {"d_loss": epoch.d_loss, "g_loss": epoch.g_loss}
        spoilt = [f"{name} is {value}" for name, value in losses.items() if not math.isfinite(value)]
        if not spoilt and not self.trainer.is_finite(lane.index):
            spoilt = ["a weight is not finite"]
        if spoilt:
            self._finish(lane, "diverged", f"{' and '.join(spoilt)} in epoch {epoch.epoch}")
        return not spoilt

    def _evaluate(self, lane: Lane, epoch: EpochRecord) -> None:
        start = time.perf_counter()
        fakes = self.trainer.sample(lane.index, self.evaluator.n_fake, "evaluation")
        scores = self.evaluator.score(
            fakes,
            epoch=epoch.epoch,
            step=epoch.step,
            progress=lambda done, total: self._tell_evaluation("scores", done, total, (lane.spec.run_id,)),
        )
        lane.eval_seconds += time.perf_counter() - start
        self.sink.add_scores(lane.spec, scores)
        if lane.take_(scores):
            self.sink.keep_best(lane.spec, self.trainer.generator_state(lane.index))

    def _conclude(self, lane: Lane) -> None:
        self.sink.add_scores(lane.spec, lane.best)
        verdict, reason = judge(lane.scores)
        self._finish(lane, "done", verdict=verdict, verdict_reason=reason)

    def _finish(self, lane: Lane, status: Status, reason: str = "", **more: Any) -> None:
        lane.active = False
        trainer = getattr(self, "trainer", None)
        record = lane.record(status, reason, trainer, self.device, len(self.lanes))
        record = record.model_copy(update={"dataset_requested": self.place.dataset_requested, **more})
        self.sink.finish(lane.spec, record)
        self._tell("finished", run_ids=(record.run_id,), record=record, scores=tuple(lane.scores))

    def _checkpoint(self, lane: Lane) -> Checkpoint:
        trained = self.trainer.state(lane.index)
        return Checkpoint(trained.arrays, {**trained.state, **lane.state()})

    def _grid(self, lane: Lane) -> Images:
        return grid(self.trainer.sample(lane.index, GRID_SIDE**2, "grid"))

    def _active(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.active]

    def _tell(self, kind: Any, run_ids: tuple[str, ...] | None = None, **news: Any) -> None:
        self.observer(Progress(kind=kind, run_ids=run_ids or self.run_ids, **news))

    def _tell_evaluation(self, text: str, done: int, total: int, run_ids: tuple[str, ...] | None = None) -> None:
        interruption.check()
        self._tell("evaluation", run_ids=run_ids, text=text, done=done, total=total)

    def _tell_step(self, step: int) -> None:
        self._tell("step", done=step, total=self.trainer.total_steps)


def _throttled(tell: Callable[[int], None]) -> Callable[[int], None]:
    last = time.monotonic()

    def on_step(step: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= STEP_NEWS_SECONDS:
            last = now
            tell(step)

    return on_step
