"""Scheduling of groups: worker deaths, retries, takeover of unfinished runs. Whole runs are in reliability/."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.toy_run import toy_spec, train

from gan_bench.core.errors import RunError
from gan_bench.core.events import Event, Notice, RunFinished, ignore_events
from gan_bench.core.matrix import Group, group_runs
from gan_bench.core.options import Options
from gan_bench.core.records import RunRecord
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.runner import scheduler
from gan_bench.runner.executors.base import Executor
from gan_bench.runner.executors.local import LocalExecutor
from gan_bench.runner.scheduler import Scheduler
from gan_bench.store import leases
from gan_bench.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "out", create=True)


@pytest.fixture
def specs() -> list[TrainingSpec]:
    return [toy_spec(seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def _poll_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "POLL_SECONDS", 0.02)


class DiesAfterFirstLane(Executor):
    """Trains and reports the first lane of each group, then reports the worker's death."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def run_groups(
        self, groups: Sequence[Group], work: Any, *, on_event: Any, on_worker_death: Any, **given: Any
    ) -> None:
        for group in groups:
            first = group.specs[0]
            assert train(self.store, first)
            record = self.store.outcome(first)
            assert record is not None
            on_event(RunFinished(record))
            on_worker_death(group, "its process is gone", "")


def schedule(
    store: Store,
    groups: Sequence[Group],
    work: Any,
    *,
    executor: Executor | None = None,
    lanes: int = 1,
    is_complete: Callable[[TrainingSpec], bool] | None = None,
    **options: Any,
) -> list[Event]:
    events: list[Event] = []
    Scheduler(
        store=store,
        executor=executor or LocalExecutor(),
        work=work,
        options=Options(**options),
        lanes=lanes,
        threads=1,
        is_complete=is_complete or (lambda spec: store.outcome(spec) is not None),
        on_event=events.append,
    ).schedule(groups)
    return events


def outcomes(events: Sequence[Event]) -> list[tuple[str, str]]:
    return [(event.record.run_id, event.record.status) for event in events if isinstance(event, RunFinished)]


def notices(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def finish(store: Store, spec: TrainingSpec, on_event: Any, status: str = "done", **values: Any) -> None:
    store.begin(spec, {})
    store.finish(spec, RunRecord.model_validate({"run_id": spec.run_id, "status": status, **values}))
    store.release(spec)
    record = store.outcome(spec)
    assert record is not None
    on_event(RunFinished(record))


def test_a_lane_that_finished_before_its_worker_died_is_reported_once(
    store: Store, specs: list[TrainingSpec]
) -> None:
    events = schedule(
        store, group_runs(specs, 3), lambda group, on_event: None, executor=DiesAfterFirstLane(store), lanes=3
    )
    statuses = ("done", "failed", "failed")
    assert outcomes(events) == [(spec.run_id, status) for spec, status in zip(specs, statuses, strict=True)]


def test_failed_runs_are_retried_as_often_as_allowed(store: Store, specs: list[TrainingSpec]) -> None:
    started: list[str] = []

    def fail(group: Group, on_event: Any) -> None:
        started.extend(group.run_ids)
        for spec in group.specs:
            finish(store, spec, on_event, "failed" if spec.seed == 1 else "done", reason="broken")

    events = schedule(store, group_runs(specs, 1), fail, retries=2)
    assert [started.count(spec.run_id) for spec in specs] == [1, 3, 1]
    assert notices(events) == ["retrying 1 failed run"] * 2
    assert [status for _, status in outcomes(events)] == ["done", "failed", "done", "failed", "failed"]


def test_a_failed_evaluation_is_retried_like_a_failed_training(store: Store, specs: list[TrainingSpec]) -> None:
    started: list[str] = []

    def fail_to_evaluate(group: Group, on_event: Any) -> None:
        (spec,) = group.specs
        started.append(spec.run_id)
        if len(started) == 1:
            finish(store, spec, on_event, evaluation_failure="no weights")
            return
        record = store.outcome(spec)
        assert record is not None
        on_event(RunFinished(store.add_evaluation(spec, [], record.model_copy(update={"evaluation_failure": ""}))))
        store.release(spec)

    events = schedule(store, group_runs(specs[:1], 1), fail_to_evaluate, retries=1)
    assert len(started) == 2
    assert [e.record.evaluation_failure for e in events if isinstance(e, RunFinished)] == ["no weights", ""]


def test_out_of_memory_is_retried_once_with_half_the_lanes(store: Store, specs: list[TrainingSpec]) -> None:
    sizes: list[int] = []

    def run_out_of_memory(group: Group, on_event: Any) -> None:
        sizes.append(len(group.specs))
        for spec in group.specs:
            finish(store, spec, on_event, "failed", reason="MemoryError", lanes=len(group.specs))

    schedule(store, group_runs([*specs, toy_spec(3)], 4), run_out_of_memory, lanes=4)
    assert sizes == [4, 2, 2]


def test_fail_fast_starts_no_group_after_a_failure(store: Store, specs: list[TrainingSpec]) -> None:
    started: list[str] = []

    def fail(group: Group, on_event: Any) -> None:
        started.extend(group.run_ids)
        finish(store, group.specs[0], on_event, "failed", reason="broken")

    schedule(store, group_runs(specs, 1), fail, fail_fast=True)
    assert started == [specs[0].run_id]


def test_runs_that_another_process_holds_are_awaited(
    store: Store, specs: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One notice, then polling until the other process has finished them; nothing is executed for them here."""
    held = {specs[2].run_id}
    claim = Store.claim
    monkeypatch.setattr(Store, "claim", lambda self, spec: spec.run_id not in held and claim(self, spec))
    started: list[str] = []

    def train_unless_held(group: Group, on_event: Any) -> None:
        for spec in group.specs:
            if spec.run_id not in held:
                started.append(spec.run_id)
                finish(store, spec, on_event)

    def finish_elsewhere() -> None:
        time.sleep(0.3)
        finish(store, specs[2], ignore_events)
        held.clear()

    other = threading.Thread(target=finish_elsewhere)
    other.start()
    events = schedule(store, group_runs(specs, 1), train_unless_held)
    other.join()
    assert started == [spec.run_id for spec in specs[:2]]
    assert notices(events) == ["waiting for 1 run that another process is training"]
    assert store.is_trained(specs[2])


def test_an_unfinished_run_is_taken_over_once_it_is_free(
    store: Store, specs: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, ...]] = []

    def second_time(group: Group, on_event: Any) -> None:
        calls.append(group.run_ids)
        if len(calls) > 3:
            for spec in group.specs:
                finish(store, spec, on_event)

    schedule(store, group_runs(specs, 1), second_time, lanes=3)
    assert calls[3:] == [tuple(spec.run_id for spec in specs)], "not as one group, or not at all"


def test_a_run_without_a_readable_outcome_raises_instead_of_looping(
    store: Store, specs: list[TrainingSpec]
) -> None:
    with pytest.raises(RunError, match="no readable outcome after 6 attempts; try --fresh"):
        schedule(store, group_runs(specs[:1], 1), lambda group, on_event: None, is_complete=lambda spec: False)


def test_a_death_that_cannot_be_recorded_releases_the_lease(
    store: Store, specs: list[TrainingSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(group: Group, on_event: Any) -> None:
        assert store.claim(group.specs[0])
        raise RuntimeError("a defect")

    def refuse(*given: Any, **more: Any) -> None:
        raise RunError("could not write: no space left on device")

    monkeypatch.setattr(Store, "finish", refuse)
    with pytest.raises(RunError, match="no space"):
        schedule(store, group_runs(specs[:1], 1), die)
    assert leases.read((store.root / "runs" / specs[0].run_id).resolve()) is None
