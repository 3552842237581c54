"""One group of runs: train its lanes together, then evaluate each run from its stored weights."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gan_bench.core.errors import RunTakenError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.matrix import Group
from gan_bench.core.records import Checkpoint
from gan_bench.core.registry import load_plugins
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.data.user_images.dataset import ensure_sources
from gan_bench.runner.context import RunContext
from gan_bench.runner.evaluate import evaluate_run
from gan_bench.runner.group_training import GroupTraining
from gan_bench.runner.process_state import preserved_process_state
from gan_bench.store.store import Store
from gan_bench.training.checkpoint_fit import require_fit


@preserved_process_state()
def run_group(group: Group, on_event: OnEvent, *, context: RunContext) -> None:
    """Train every untrained run of a group, then evaluate the trained ones.

    Interrupted runs are resumed from their checkpoints; runs that another process holds are skipped. A failure
    in training or evaluation is recorded with its reason. Only RunError (the store can't write), ListenerError
    (the reader of events is gone) and interrupts are raised. Process-wide settings that user code changes are
    restored.
    """
    load_plugins(context.options.plugins)
    ensure_sources(context.options)
    fresh = context.options.fresh
    store = Store.open(context.options.out, create=fresh, on_event=on_event)
    claimed: list[TrainingSpec] = []
    try:
        claimed.extend(spec for spec in group.specs if store.claim(spec))
        # with --fresh, another process may have moved a run into place: see `Replacement`
        present = [spec for spec in claimed if store.is_expected(spec) or not fresh]
        untrained = [spec for spec in present if not store.is_trained(spec)]
        for specs, checkpoints in _by_step(store, untrained):
            GroupTraining(specs, checkpoints, store, context, on_event).train()
        for spec in present:
            evaluate_run(spec, store, context, on_event)
    except RunTakenError as error:
        on_event(Notice(str(error), group.run_ids))
    finally:
        for spec in claimed:
            store.release(spec)


def _by_step(
    store: Store, specs: Sequence[TrainingSpec]
) -> list[tuple[list[TrainingSpec], list[Checkpoint | None]]]:
    """Return the runs with their checkpoints, those at equal steps together, because lanes advance in lockstep."""
    found = {spec: store.resume(spec, functools.partial(require_fit, spec)) for spec in specs}
    steps = {spec: int(checkpoint.state["step"]) if checkpoint else 0 for spec, checkpoint in found.items()}
    together = [
        [spec for spec in specs if steps[spec] == step] for step in sorted({*steps.values()}, reverse=True)
    ]
    return [(members, [found[spec] for spec in members]) for members in together]
