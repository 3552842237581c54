"""The local executor: worker processes on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.core.registry import registered_by_program
from gan_bench.runner.executors.base import Executor, OnWorkerDeath, Work, executors, never_stop
from gan_bench.runner.executors.in_process import InProcessExecutor
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
        """Execute every group in a worker process, which is kept for the next group; see Executor.

        What the running script or notebook registers itself is unknown to other processes: it is executed in this
        process.
        """
        own = registered_by_program()
        if not own:
            run_in_processes(groups, work, options, threads, on_event, on_worker_death, stop)
            return
        on_event(
            Notice(
                f"{', '.join(own)}: registered by this program, so runs share its process, and a crash ends all "
                "of them; for worker processes, move it to a file and pass Options(plugins=[file])"
            )
        )
        InProcessExecutor().run_groups(
            groups,
            work,
            options=options,
            threads=threads,
            on_event=on_event,
            on_worker_death=on_worker_death,
            stop=stop,
        )
