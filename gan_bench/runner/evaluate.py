"""Evaluation of trained runs from their stored weights."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from gan_bench.core import signals
from gan_bench.core.errors import ReadError, RunError
from gan_bench.core.events import EvaluationProgress, OnEvent, RunFinished
from gan_bench.core.failures import failure_reason, log_tail
from gan_bench.core.records import RunRecord, Score
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.metrics.evaluator import Evaluator, ProgressCallback
from gan_bench.metrics.verdict import judge
from gan_bench.runner.context import RunContext
from gan_bench.store.reader import Reader
from gan_bench.store.store import Store
from gan_bench.training.sampling import NonFiniteImagesError, evaluation_stream


def is_evaluated(store: Reader, record: RunRecord, spec: TrainingSpec, evaluator: Evaluator) -> bool:
    """Return whether a run has every score that was asked for; a diverged or failed one needs none."""
    if record.status != "done":
        return True
    scores, conditional = store.scores(spec), spec.n_classes > 0
    missing = evaluator.missing_draws(scores, record.steps, conditional=conditional)
    return not missing and not record.evaluation_failure


def evaluate_run(spec: TrainingSpec, store: Store, context: RunContext, on_event: OnEvent) -> None:
    """Compute the missing scores of a trained run from its stored weights, record them, and report the run.

    Does nothing for a run that is not done. A generator whose images are not finite makes a run without scores
    `diverged`. Any other failure is recorded in `evaluation_failure` and does not change the run's status. Raises
    RunError where the store can't write.
    """
    record = store.outcome(spec)
    if record is None or record.status != "done":
        return
    start = time.perf_counter()
    scores: list[Score] = []
    try:
        evaluator = context.evaluator(spec.dataset, on_event)
        evaluator.prepare(report_progress(on_event, ""))
        draws = evaluator.missing_draws(store.scores(spec), record.steps, conditional=spec.n_classes > 0)
        scores = score_draws(spec, record, draws, evaluator, store, context, on_event)
        verdict, reason = judge([*store.scores(spec), *scores])
        update = {"verdict": verdict, "verdict_reason": reason, "evaluation_failure": "", "log_tail": ""}
    except Exception as error:
        if isinstance(error, RunError) and not isinstance(error, ReadError):  # the results can't be stored
            raise
        if isinstance(error, NonFiniteImagesError) and not _is_scored(store, record, spec):
            update = {"status": "diverged", "reason": str(error), "verdict": "", "verdict_reason": ""}
        else:
            update = {"evaluation_failure": failure_reason(error), "log_tail": log_tail(traceback.format_exc())}
    changed = record.model_copy(update=update)
    if changed != record or scores:
        seconds = record.eval_seconds + time.perf_counter() - start
        changed = store.add_evaluation(spec, scores, changed.model_copy(update={"eval_seconds": seconds}))
    requested = () if changed.evaluation_failure else evaluator.requested(store.scores(spec), record.steps)
    on_event(RunFinished(changed, tuple(requested)))


def _is_scored(store: Reader, record: RunRecord, spec: TrainingSpec) -> bool:
    """Return whether a run has scores of its last step."""
    return any((score.checkpoint, score.step) == ("last", record.steps) for score in store.scores(spec))


def score_draws(
    spec: TrainingSpec,
    record: RunRecord,
    draws: tuple[int, ...],
    evaluator: Evaluator,
    store: Reader,
    context: RunContext,
    on_event: OnEvent,
) -> list[Score]:
    """Return the scores of sample sets drawn from a run's last checkpoint."""
    if not draws:
        return []
    weights = store.weights(spec)
    if weights is None:
        raise FileNotFoundError(f"{spec.run_id}: its weights are missing or damaged; --fresh trains it again")
    sampler = context.sampler(spec, weights)
    progress = report_progress(on_event, spec.run_id)
    found: list[Score] = []
    for draw in draws:
        stream = evaluation_stream(draw)
        found += evaluator.score(
            sampler.sample(evaluator.n_fake, stream),
            epoch=record.epochs,
            step=record.steps,
            draw=draw,
            progress=progress,
            labels=sampler.draw_labels(evaluator.n_fake, stream),
        )
    return found


def report_progress(on_event: OnEvent, run_id: str) -> ProgressCallback:
    """Return a callback that emits EvaluationProgress and stops at a signal."""

    def progress(images: int, total_images: int) -> None:
        signals.check()
        on_event(EvaluationProgress(images, total_images, run_id))

    return progress


Complete = Callable[[TrainingSpec], bool]


def completion(store: Reader, context: RunContext, on_event: OnEvent) -> Complete:
    """Return a predicate: whether a run needs neither training nor evaluation.

    A failed run or evaluation is complete: it has an outcome.
    """

    def is_complete(spec: TrainingSpec) -> bool:
        record = store.outcome(spec)
        if record is None:
            return False
        if record.failure:
            return True
        return is_evaluated(store, record, spec, context.evaluator(spec.dataset, on_event))

    return is_complete
