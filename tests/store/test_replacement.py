"""`--fresh`: results are replaced one by one, the request is remembered, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.whole_runs import Trial, notices, of_type, score_values

import gan_bench as gb
from gan_bench.cli.run import stored_runs
from gan_bench.core.errors import InputError
from gan_bench.core.events import Event, GroupStarted, RunFinished, ignore_events
from gan_bench.losses.base import losses
from gan_bench.losses.bce import BCE
from gan_bench.store import leases
from gan_bench.store.replacement import FOLDER, Replacement
from gan_bench.store.store import Store

Make = Callable[..., Trial]


def changed_at(trial: Trial) -> list[int]:
    return [(folder / "record.json").stat().st_mtime_ns for folder in trial.folders()]


def trained_ids(events: list[Event]) -> list[str]:
    return [run_id for event in of_type(events, GroupStarted) for run_id in event.run_ids]


pytestmark = pytest.mark.xdist_group("fresh")  # the tests share what one worker made


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Trial:
    changes = {"epochs": 1, "metrics": ("fid",), "seeds": (0, 1, 2)}
    trial = Trial(tmp_path_factory.mktemp("finished") / "out", cache, changes, {})
    trial.run()
    return trial


@pytest.fixture
def fresh(tmp_path: Path, cache: Path, finished: Trial) -> Trial:
    """The same matrix on a copy of its results, with --fresh."""
    trial = Trial(tmp_path / "out", cache, {}, {"fresh": True}).start_from(finished)
    trial.matrix = finished.matrix
    return trial


def interrupt(fresh: Trial) -> list[Event]:
    """Execute until one run is replaced; return the events."""
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fresh.run(listen)
    return events


def test_an_interrupted_request_continues_with_the_runs_that_are_not_replaced(fresh: Trial) -> None:
    before = changed_at(fresh)
    first = trained_ids(interrupt(fresh))
    between = changed_at(fresh)
    assert sum(new != old for new, old in zip(between, before, strict=True)) == 1, (
        "more than one, or none, replaced"
    )
    assert [len(fresh.plan().finished), len(fresh.plan().to_train)] == [1, 2]
    events: list[Event] = []
    records = fresh.run(events.append)
    assert [record.status for record in records] == ["done"] * 3
    assert not set(trained_ids(events)) & {first[0]}, "a replaced run was trained once more"
    after = changed_at(fresh)
    assert sum(new != old for new, old in zip(after, between, strict=True)) == 2
    assert not (fresh.out / FOLDER).exists()
    assert not list(fresh.out.glob("runs/*/.lease*"))
    assert len(fresh.plan().to_train) == 3, "the next --fresh is a new request"


def test_new_results_equal_the_old_ones(fresh: Trial, finished: Trial) -> None:
    fresh.run()
    for mine, old in zip(fresh.folders(), finished.folders(), strict=True):
        assert score_values(mine) == score_values(old)
        assert (mine / "checkpoint.safetensors").read_bytes() == (old / "checkpoint.safetensors").read_bytes()


def test_a_failed_run_keeps_its_old_result_and_is_tried_again(
    fresh: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(BCE):
        def generator(self, real_logits: object, fake_logits: object) -> object:  # type: ignore[override]
            raise RuntimeError("it fails")

    losses.names()
    with monkeypatch.context() as patch:
        patch.setitem(losses._objects, "bce", Failing)
        patch.setattr("gan_bench.runner.preflight.check_plugins", lambda *given: None)
        records = fresh.run()
    assert [record.status for record in records] == ["failed"] * 3
    assert [run.record.status for run in stored_runs(fresh.out, fresh.plan().specs)] == ["done"] * 3
    assert len(fresh.plan().to_train) == 3
    assert [record.status for record in fresh.run()] == ["done"] * 3
    assert not (fresh.out / FOLDER).exists()


def test_a_run_that_is_being_trained_is_found_before_anything_changes(
    fresh: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "is_held", lambda folder: "-s1-" in folder.name)
    before = changed_at(fresh)
    with pytest.raises(InputError, match=r"--fresh: 1 run is being trained by another process, such as .*-s1-"):
        fresh.run()
    assert changed_at(fresh) == before
    assert not (fresh.out / FOLDER).exists()


def test_a_command_without_fresh_says_that_a_request_was_interrupted(fresh: Trial) -> None:
    interrupt(fresh)
    events: list[Event] = []
    planned = gb.plan(fresh.matrix, fresh.options.model_copy(update={"fresh": False}), events.append)
    assert not planned.to_train
    assert any("--fresh was interrupted: add it to replace the rest" in text for text in notices(events))


def test_a_run_that_another_process_has_replaced_is_not_trained_again(fresh: Trial) -> None:
    """Two processes with the same request: this one planned before the other one's first run was replaced."""
    planned = fresh.plan()
    replaced = trained_ids(interrupt(fresh))[0]
    events: list[Event] = []
    gb.api.execute(planned, events.append)
    assert replaced not in trained_ids(events)
    assert [run.record.status for run in fresh.stored()] == ["done"] * 3
    assert not (fresh.out / FOLDER).exists()


def test_a_kill_while_the_request_is_recorded_leaves_none(fresh: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = fresh.plan().specs

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            Replacement(fresh.out, specs, ignore_events).start(specs)
    assert not Replacement(fresh.out, specs, ignore_events).is_started
    assert len(fresh.plan().to_train) == 3


def test_a_link_out_of_the_folder_is_refused(fresh: Trial, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (fresh.out / FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"\.fresh is a link that leads out of it; remove the link"):
        fresh.run()
    assert Store.open(fresh.out, create=False).runs()
