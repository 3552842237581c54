"""Scheduler of a matrix: rounds of groups, retries, and waiting for runs that other processes hold."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gan_bench.core import signals
from gan_bench.core.errors import RunError, RunTakenError
from gan_bench.core.events import Event, Notice, OnEvent, RunFinished
from gan_bench.core.failures import is_out_of_memory
from gan_bench.core.matrix import Group, LaneCounts, group_runs
from gan_bench.core.options import Options
from gan_bench.core.records import RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.runner.executors.base import Executor, Work
from gan_bench.store.store import Store

POLL_SECONDS = 1.0
MAX_ATTEMPTS = 5
"""Beyond `retries`: workers of other processes may die over a run, but an unreadable outcome must not loop."""


@dataclass
class Scheduler:
    """Brings every run of a matrix to its outcome, in this process or another one on the same folder."""

    store: Store
    executor: Executor
    work: Work
    options: Options
    lanes: LaneCounts
    threads: int
    is_complete: Callable[[TrainingSpec], bool]
    on_event: OnEvent
    _failed: dict[str, RunRecord] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)
    """Runs that finished in the current round."""
    _attempts: Counter[str] = field(default_factory=Counter)
    _gave_up: bool = False

    def schedule(self, groups: Sequence[Group]) -> None:
        """Execute all groups, retry failed runs, and take over runs that other processes leave unfinished."""
        everything = [spec for group in groups for spec in group.specs]
        while groups:
            self._failed.clear()
            self._finished.clear()
            self._attempts.update(run_id for group in groups for run_id in group.run_ids)
            self.executor.run_groups(
                groups,
                self.work,
                options=self.options,
                threads=self.threads,
                on_event=self._on_event,
                on_worker_death=self._on_worker_death,
                stop=self._stop,
            )
            if self._stop():
                return
            groups = self._retries(groups) or self._take_over(everything)

    def _stop(self) -> bool:
        return self._gave_up and self.options.fail_fast

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            record = event.record
            self._finished.add(record.run_id)
            if record.failure:
                self._failed[record.run_id] = record
                self._gave_up = self._gave_up or not self._may_retry(record)
        self.on_event(event)

    def _on_worker_death(self, group: Group, reason: str, log: str) -> None:
        for spec in group.specs:
            if spec.run_id in self._finished:  # a lane that had its outcome before the worker died
                continue
            try:
                record = self.store.record_failure(spec, reason, log, lanes=len(group.specs))
            except RunTakenError as error:
                self.on_event(Notice(str(error), (spec.run_id,)))
                continue
            finally:
                self.store.release(spec)  # even if the record can't be written: the next attempt must not wait
            self._on_event(RunFinished(record))

    def _may_retry(self, record: RunRecord) -> bool:
        attempts = self._attempts[record.run_id]
        fewer_lanes = is_out_of_memory(record.failure) and record.lanes > 1 and attempts == 1
        return fewer_lanes or attempts <= self.options.retries

    def _retries(self, groups: Sequence[Group]) -> list[Group]:
        """Return the failed runs that may be retried; with half the lanes after a lack of memory."""
        again: list[Group] = []
        for group in groups:
            records = [self._failed.get(spec.run_id) for spec in group.specs]
            pairs = [(s, r) for s, r in zip(group.specs, records, strict=True) if r and self._may_retry(r)]
            if pairs:
                short = any(is_out_of_memory(record.failure) for _, record in pairs)
                lanes = max(1, len(group.specs) // 2) if short else len(group.specs)
                again += group_runs([spec for spec, _ in pairs], lanes)
        if again:
            count = sum(len(group.specs) for group in again)
            self._notice(f"retrying {count} failed run{'s' if count > 1 else ''}")
        return again

    def _take_over(self, specs: Sequence[TrainingSpec]) -> list[Group]:
        """Wait for the runs that other processes hold; return those that became free without an outcome."""
        pending, announced = list(specs), False
        while True:
            pending = [spec for spec in pending if not self.is_complete(spec)]
            free = [spec for spec in pending if self._is_free(spec)]
            self._check_attempts(free)
            if free or not pending:
                return group_runs(free, self.lanes)
            if not announced:
                runs = "1 run" if len(pending) == 1 else f"{len(pending)} runs"
                self._notice(f"waiting for {runs} that another process is training")
                announced = True
            signals.check()
            time.sleep(POLL_SECONDS)

    def _check_attempts(self, specs: Sequence[TrainingSpec]) -> None:
        for spec in specs:
            attempts = self._attempts[spec.run_id]
            if attempts > MAX_ATTEMPTS + self.options.retries:
                raise RunError(f"{spec.run_id}: no readable outcome after {attempts} attempts; try --fresh")

    def _is_free(self, spec: TrainingSpec) -> bool:
        """Return whether a run can be claimed; a dead holder's lease is taken over."""
        if not self.store.claim(spec):
            return False
        self.store.release(spec)
        return True

    def _notice(self, text: str) -> None:
        self.on_event(Notice(text))
