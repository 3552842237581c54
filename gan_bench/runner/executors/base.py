"""Executor: executes groups of runs, forwards their events, and reports workers that die."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TypeAlias

from gan_bench.core.events import OnEvent
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.core.registry import Registry

Work: TypeAlias = Callable[[Group, OnEvent], None]
"""Trains, evaluates and stores one group. It records the failures of its runs itself, so an exception it raises is
a defect. It must be picklable, to be sent to other processes."""

OnWorkerDeath: TypeAlias = Callable[[Group, str, str], None]
"""Called with the group of a worker that died, the reason, and the tail of its output."""


def never_stop() -> bool:
    """Return False: no early stop."""
    return False


class Executor(abc.ABC):
    """Executes groups; losing a worker loses only its current group, and no finished run."""

    @abc.abstractmethod
    def run_groups(
        self,
        groups: Sequence[Group],
        work: Work,
        *,
        options: Options,
        threads: int,
        on_event: OnEvent,
        on_worker_death: OnWorkerDeath,
        stop: Callable[[], bool] = never_stop,
    ) -> None:
        """Execute every group once, at most `options.jobs` at a time; return when all have ended.

        `threads` is the number of CPU threads of each worker process. `on_event` and `on_worker_death` are called
        in this process, by the calling thread; events of one group arrive in order. `stop` is called before each
        group is started: once it returns True, no other is. A group that takes longer than `options.run_timeout`
        seconds is killed, with every process it started, and counts as a worker's death. An exception raised
        here, including KeyboardInterrupt, ends all workers, with time to write a checkpoint, and is re-raised.
        """


executors: Registry[type[Executor]] = Registry("executor", "gan_bench.runner.executors", "gan_bench.executors")
