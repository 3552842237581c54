"""Preflight of a plan: what plugins registered is tried on a few images before anything is stored."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gan_bench.core.errors import InputError
from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.matrix import Group
from gan_bench.core.registry import is_built_in, load_plugins, registered_by_program
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.losses.base import losses
from gan_bench.models.base import models
from gan_bench.penalties.base import penalty_parts
from gan_bench.runner.context import RunContext
from gan_bench.runner.executors.base import never_stop
from gan_bench.runner.executors.in_process import InProcessExecutor
from gan_bench.runner.executors.processes import run_in_processes
from gan_bench.training import contract

TIMEOUT_SECONDS = 60.0
"""For one model; what takes longer is trained unchecked."""


@dataclass(frozen=True)
class BrokenRule:
    """Event: a model, loss or penalty breaks a rule of its contract."""

    text: str


def check_plugins(specs: Sequence[TrainingSpec], context: RunContext, on_event: OnEvent) -> None:
    """Raise InputError with the rules that plugins break; nothing is tried of what is built in.

    User code is executed by a worker, as in training. A check that ends without an answer, as with a crash or too
    little memory, emits a notice: its runs are contained, and record what happens to them.
    """
    chosen: dict[Any, TrainingSpec] = {}
    for spec in specs:
        if any(_user_parts(spec)):
            settings = spec.model_dump(include={"image_size", "channels", "n_classes", "settings"})
            chosen.setdefault((spec.model, spec.loss, spec.penalty, repr(settings)), spec)
    if not chosen:
        return
    broken: dict[str, None] = {}

    def listen(event: Any) -> None:
        if isinstance(event, BrokenRule):
            broken[event.text] = None
        elif isinstance(event, Notice):
            on_event(event)

    def skip(group: Group, reason: str, log: str) -> None:
        spec = group.specs[0]
        on_event(Notice(f"{spec.label} was not checked before its training: {reason}"))

    groups = [Group((spec,)) for spec in chosen.values()]
    work = functools.partial(check_group, context=context)
    if registered_by_program():  # which other processes lack
        options = context.options
        InProcessExecutor().run_groups(
            groups, work, options=options, threads=1, on_event=listen, on_worker_death=skip
        )
    else:
        timeout = min(context.options.run_timeout or TIMEOUT_SECONDS, TIMEOUT_SECONDS)
        options = context.options.model_copy(update={"jobs": 1, "run_timeout": timeout})
        run_in_processes(groups, work, options, torch.get_num_threads(), listen, skip, never_stop)
    if broken:
        raise InputError("\n".join(broken))


def check_group(group: Group, on_event: Any, *, context: RunContext) -> None:
    """Emit BrokenRule for each of a spec's plugins that breaks a rule of its contract."""
    load_plugins(context.options.plugins)
    spec = group.specs[0]
    model, loss, penalty = _user_parts(spec)
    checks = (
        (model, contract.check_networks),
        (loss, contract.check_loss),
        (model or penalty, contract.check_penalty),
    )
    for needed, check in checks:
        if needed:
            try:
                check(spec)
            except contract.NotFiniteError as error:
                on_event(Notice(f"{error} (its runs may diverge)"))
                return
            except InputError as error:
                on_event(BrokenRule(str(error)))
                if check is contract.check_networks:  # the penalty needs its D
                    return


def _user_parts(spec: TrainingSpec) -> tuple[bool, bool, bool]:
    """Return whether the model, the loss and the penalty of a spec are not built in."""
    return (
        not is_built_in(models.get(spec.model)),
        not is_built_in(losses.get(spec.loss)),
        not all(map(is_built_in, penalty_parts(spec.penalty))),
    )
