"""What an executor is: it places groups, hands on what they report, and says which of them were lost."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TypeAlias

from gan_bench.matrix import Group
from gan_bench.record import Observer
from gan_bench.registry import Registry

Work: TypeAlias = Callable[[Group, Observer], None]
"""Trains, scores and stores one group. It records the failures of its runs itself, so that an exception out of it
means a broken program. It can be pickled, so that it can be sent to another process."""

OnLost: TypeAlias = Callable[[Group, str, str], None]
"""Told the group whose work ended without a word of its own, why, and the tail of what it had printed."""


def never() -> bool:
    """Ask for no early stop."""
    return False


class Executor(abc.ABC):
    """Executes groups somewhere; losing a worker loses its group only, and no finished run."""

    @abc.abstractmethod
    def execute(
        self,
        groups: Sequence[Group],
        work: Work,
        *,
        jobs: int,
        threads: int,
        observer: Observer,
        on_lost: OnLost,
        stop: Callable[[], bool] = never,
        run_timeout: float | None = None,
    ) -> None:
        """Work on every group once, at most `jobs` at a time; return when all have ended.

        `threads` is the number of CPU threads of each worker process. `observer` and `on_lost` are called in this
        process, by the calling thread; events of one group arrive in order. `stop` is asked before each group is
        begun: once it says so, no other is. A group that takes longer than `run_timeout` seconds is ended, with
        every process that it started, and is lost. An exception raised here, KeyboardInterrupt too, ends all
        workers before it goes on to the caller; they are given time to leave a checkpoint.
        """


executors: Registry[type[Executor]] = Registry("executor", "gan_bench.execution", "gan_bench.executors")
