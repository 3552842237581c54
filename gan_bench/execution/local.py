"""The executor of this machine: one job is worked on in this process, several in processes of their own."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from gan_bench.errors import InputError
from gan_bench.execution.executor import Executor, OnLost, Work, executors, never
from gan_bench.execution.processes import execute_in_processes
from gan_bench.matrix import Group
from gan_bench.reason import reason_of, tail
from gan_bench.record import Observer


@executors.register("local")
class LocalExecutor(Executor):
    """Executes groups on this machine."""

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
        """Work on every group; see Executor. With one job, `threads` is left to who set this process up.

        What may have to be ended from outside (`run_timeout`) has a process of its own, one job or several.
        """
        if jobs < 1 or threads < 1:
            raise InputError(f"--jobs {jobs} with {threads} threads each: type --jobs 1 or more")
        if jobs > 1 or run_timeout is not None:
            execute_in_processes(groups, work, jobs, threads, observer, on_lost, stop, run_timeout)
            return
        for group in groups:
            if stop():
                return
            try:
                work(group, observer)
            except (BrokenPipeError, ConnectionResetError):  # whoever listened is gone: no fault of the group's
                raise
            except Exception as error:
                on_lost(group, reason_of(error), tail(traceback.format_exc()))
