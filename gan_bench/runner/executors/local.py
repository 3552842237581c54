"""The local executor: one job runs in this process, several in worker processes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from gan_bench.core.events import OnEvent
from gan_bench.core.failures import failure_reason, log_tail
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.runner.executors.base import Executor, OnWorkerDeath, Work, executors, never_stop
from gan_bench.runner.executors.processes import run_in_processes


@executors.register("local")
class LocalExecutor(Executor):
    """Executes groups on this machine."""

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
        """Execute every group; see Executor. With one job in this process, `threads` has no effect.

        With `run_timeout`, a group runs in a process of its own, which can be killed.
        """
        if options.jobs > 1 or options.run_timeout is not None:
            run_in_processes(groups, work, options, threads, on_event, on_worker_death, stop)
            return
        for group in groups:
            if stop():
                return
            try:
                work(group, on_event)
            except (
                BrokenPipeError,
                ConnectionResetError,
            ):  # the reader of events is gone; the group is not at fault
                raise
            except Exception as error:
                on_worker_death(group, failure_reason(error), log_tail(traceback.format_exc()))
