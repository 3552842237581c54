"""One matrix being run: what is told of runs whose neighbours were lost. The rest is tried on whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toy_run import toy_spec, train

from gan_bench.execution.executor import Executor
from gan_bench.matrix import Group, group_runs
from gan_bench.record import Progress
from gan_bench.session import Policy, Session
from gan_bench.store.store import Store


class Dies(Executor):
    """Trains the first lane of each group and tells of it; then its process is gone."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def execute(self, groups: Sequence[Group], work: Any, *, observer: Any, on_lost: Any, **given: Any) -> None:
        for group in groups:
            first = group.specs[0]
            assert train(self.store, first)
            record = self.store.outcome(first)
            observer(Progress(kind="finished", run_ids=(first.run_id,), record=record))
            on_lost(group, "its process is gone", "")


def test_a_lane_that_was_over_before_its_neighbours_were_lost_is_told_of_once(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "out", create=True)
    specs = [toy_spec(seed) for seed in range(3)]
    heard: list[Progress] = []
    policy = Policy(jobs=1, threads=1, lanes=3)
    Session(store, Dies(store), lambda group, observer: None, policy, heard.append).run(group_runs(specs, 3))
    told = [(news.record.run_id, news.record.status) for news in heard if news.record]
    assert told == [
        (spec.run_id, status) for spec, status in zip(specs, ("done", "failed", "failed"), strict=True)
    ]
