"""The in-process executor, for debuggers, and for models that a script registers itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from gan_bench.core.events import ListenerError, OnEvent, shielded
from gan_bench.core.failures import failure_reason, log_tail
from gan_bench.core.matrix import Group
from gan_bench.core.options import Options
from gan_bench.runner.executors.base import Executor, OnWorkerDeath, Work, executors, never_stop


@executors.register("in-process")
class InProcessExecutor(Executor):
    """Executes groups in this process, one after the other; nothing contains a crash."""

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
        """Execute every group; see Executor. The options `jobs`, `run_timeout` and `threads` have no effect."""
        for group in groups:
            if stop():
                return
            try:
                work(group, shielded(on_event))
            except ListenerError as error:
                raise error.__cause__ or error from None
            except (Exception, SystemExit) as error:
                on_worker_death(group, failure_reason(error), log_tail(traceback.format_exc()))
