"""`--profile` on whole runs: results stay the same, each model is profiled once, and the trace is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers import kept_results
from helpers.whole_runs import Trial, assert_equal_runs, notices, of_type

import gan_bench as gb
from gan_bench.core.events import EpochFinished, RunFinished, StepProfiled
from gan_bench.report import write_report
from gan_bench.store import verify
from gan_bench.training import profile

Make = Callable[..., Trial]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "SECONDS", 0.0)


def test_a_profiled_run_equals_an_unprofiled_one(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trial("plain", eval_every=2, metrics=("fid",))
    profiled = trial("profiled", eval_every=2, metrics=("fid",), profile=True)
    plain.run()
    events = [each for each in profiled.events() if isinstance(each, StepProfiled | EpochFinished | RunFinished)]
    assert [type(each) for each in events] == [StepProfiled, *[EpochFinished] * 4, RunFinished]
    (folder,) = profiled.folders()
    assert_equal_runs(folder, plain.folders()[0])
    (step,) = of_type(events, StepProfiled)
    assert step.trace == str((folder / "trace.json.gz").resolve())
    assert step.profile.operators
    assert not (plain.folders()[0] / "trace.json.gz").exists()
    assert verify.inspect(profiled.out) == []
    monkeypatch.setattr(write_report, "render_plots", kept_results.read_pictures_only)
    assert gb.write_report(profiled.out).page.is_file()


def test_each_model_is_profiled_once(trial: Make) -> None:
    matrix = {"models": ("vanilla", "dcgan28"), "seeds": (0, 1), "lrs": ((1e-4, 1e-4), (2e-4, 2e-4))}
    events = trial(**matrix, epochs=1, metrics=("fid",), profile=True).events()
    profiled = [each.run_ids for each in of_type(events, StepProfiled)]
    assert [run_ids[0].split("-")[0] for run_ids in profiled] == ["vanilla", "dcgan28"]


def test_lanes_are_profiled_together(trial: Make) -> None:
    lanes = trial(seeds=(0, 1), lanes=2, epochs=1, metrics=("fid",), profile=True)
    (step,) = of_type(lanes.events(), StepProfiled)
    assert (len(step.run_ids), step.profile.lanes) == (2, 2)


@pytest.mark.slow
def test_worker_processes_send_their_profiles(trial: Make) -> None:
    events = trial(seeds=(0, 1), jobs=2, epochs=1, metrics=("fid",), profile=True).events()
    assert len(of_type(events, StepProfiled)) == 1
    assert any("--jobs 1" in text for text in notices(events))


def test_a_notice_says_where_nothing_is_left_to_profile(trial: Make) -> None:
    trial(epochs=1, metrics=("fid",)).run()
    events = trial(epochs=1, metrics=("fid",), profile=True).events()
    assert of_type(events, StepProfiled) == []
    assert any("--fresh trains again" in text for text in notices(events))
