"""One matrix being run: rounds of groups, second tries, and the runs that other processes train meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gan_bench import interruption
from gan_bench.errors import RunError, RunTakenError
from gan_bench.execution.executor import Executor, Work
from gan_bench.matrix import Group, Lanes, group_runs
from gan_bench.reason import is_lack_of_memory
from gan_bench.record import Observer, Progress, RunRecord
from gan_bench.spec import RunSpec
from gan_bench.store.store import Store

LOOK_SECONDS = 1.0
MOST_TRIES = 5
"""Beyond retries: others may die over a run, but one whose outcome can't be read would be tried for ever."""


@dataclass(frozen=True)
class Policy:
    """How groups are placed, and what is done about failures."""

    jobs: int
    threads: int
    lanes: Lanes
    fail_fast: bool = False
    retries: int = 0
    run_timeout: float | None = None


@dataclass
class Session:
    """Sees to it that every run of a matrix gets its outcome, from this process or from another one."""

    store: Store
    executor: Executor
    work: Work
    policy: Policy
    observer: Observer
    _failed: dict[str, RunRecord] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    """Runs that were told to have ended since groups were placed last."""
    _tries: Counter[str] = field(default_factory=Counter)
    _given_up: bool = False

    def run(self, groups: Sequence[Group]) -> None:
        """Work on all groups, on failed runs again as the policy says, and on what other processes leave."""
        everything = [spec for group in groups for spec in group.specs]
        while groups:
            self._place(groups)
            if self._stop():
                return
            groups = self._second_tries(groups) or self._left_by_others(everything)

    def _place(self, groups: Sequence[Group]) -> None:
        self._failed.clear()
        self._ended.clear()
        self._tries.update(run_id for group in groups for run_id in group.run_ids)
        self.executor.execute(
            groups,
            self.work,
            jobs=self.policy.jobs,
            threads=self.policy.threads,
            observer=self._hear,
            on_lost=self._lost,
            stop=self._stop,
            run_timeout=self.policy.run_timeout,
        )

    def _stop(self) -> bool:
        return self._given_up and self.policy.fail_fast

    def _hear(self, news: Progress) -> None:
        if news.record is not None:
            self._ended.add(news.record.run_id)
        if news.record is not None and news.record.status == "failed":
            self._failed[news.record.run_id] = news.record
            self._given_up = self._given_up or not self._may_retry(news.record)
        self.observer(news)

    def _lost(self, group: Group, reason: str, log: str) -> None:
        for spec in group.specs:
            if spec.run_id in self._ended:  # a lane that was over before its neighbours were lost
                continue
            try:
                record = self.store.failed_with(spec, reason, log, lanes=len(group.specs))
            except RunTakenError as error:
                self.observer(Progress(kind="notice", run_ids=(spec.run_id,), text=str(error)))
                continue
            finally:
                self.store.release(spec)  # where even that can't be written, the next attempt must not wait for us
            self._hear(Progress(kind="finished", run_ids=(spec.run_id,), record=record))

    def _may_retry(self, record: RunRecord) -> bool:
        tries = self._tries[record.run_id]
        narrower = is_lack_of_memory(record.reason) and record.lanes > 1 and tries == 1
        return narrower or tries <= self.policy.retries

    def _second_tries(self, groups: Sequence[Group]) -> list[Group]:
        """Return the failed runs that may be tried again; with half the lanes where memory was short."""
        again: list[Group] = []
        for group in groups:
            failed = [self._failed.get(spec.run_id) for spec in group.specs]
            pairs = [(s, r) for s, r in zip(group.specs, failed, strict=True) if r and self._may_retry(r)]
            if pairs:
                short = any(is_lack_of_memory(record.reason) for _, record in pairs)
                lanes = max(1, len(group.specs) // 2) if short else len(group.specs)
                again += group_runs([spec for spec, _ in pairs], lanes)
        if again:
            count = sum(len(group.specs) for group in again)
            self._notice(f"{count} failed run{'s are' if count > 1 else ' is'} tried again")
        return again

    def _left_by_others(self, specs: Sequence[RunSpec]) -> list[Group]:
        """Wait for the runs that other processes train; return those that became free without an outcome."""
        said = False
        while True:
            left = [spec for spec in specs if self.store.outcome(spec) is None]
            free = [spec for spec in left if self._is_free(spec)]
            self._check_tries(free)
            if free or not left:
                return group_runs(free, self.policy.lanes)
            if not said:
                self._notice(f"{len(left)} of the runs are trained by another process: waiting for it")
                said = True
            interruption.check()
            time.sleep(LOOK_SECONDS)

    def _check_tries(self, specs: Sequence[RunSpec]) -> None:
        for spec in specs:
            tries = self._tries[spec.run_id]
            if tries > MOST_TRIES + self.policy.retries:
                raise RunError(f"{spec.run_id}: tried {tries} times without an outcome that can be read; --fresh")

    def _is_free(self, spec: RunSpec) -> bool:
        """Say whether a run can be had; if its holder is dead, this takes it over, for whoever trains it here."""
        if not self.store.claim(spec):
            return False
        self.store.release(spec)
        return True

    def _notice(self, text: str) -> None:
        self.observer(Progress(kind="notice", text=text))
