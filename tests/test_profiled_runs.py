"""`--profile` on whole runs: they stay the same, each model is profiled once, and the trace disturbs nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from whole_runs import Trial, assert_equal_runs

import gan_bench as gb
from gan_bench.record import Progress
from gan_bench.store import inspection
from gan_bench.training import profile

Make = Callable[..., Trial]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "ENOUGH_SECONDS", 0.0)


def heard(trial: Trial) -> list[Progress]:
    news: list[Progress] = []
    trial.run(news.append)
    return news


def test_a_profiled_run_equals_an_unprofiled_one(trial: Make) -> None:
    plain, profiled = trial("plain", eval_every=2), trial("profiled", eval_every=2, profile=True)
    plain.run()
    news = [each for each in heard(profiled) if each.kind in ("profile", "epoch", "finished")]
    assert [each.kind for each in news] == ["profile", *["epoch"] * 4, "finished"]
    (folder,) = profiled.folders()
    assert_equal_runs(folder, plain.folders()[0])
    assert news[0].text == str((folder / "trace.json.gz").resolve())
    assert not (plain.folders()[0] / "trace.json.gz").exists()
    assert inspection.inspect(profiled.out) == []
    assert gb.write_report(profiled.out).page.is_file()


def test_each_model_is_profiled_once(trial: Make) -> None:
    news = heard(
        trial(
            models=("vanilla", "dcgan28"), seeds=(0, 1), lrs=((1e-4, 1e-4), (2e-4, 2e-4)), epochs=1, profile=True
        )
    )
    profiled = [each.run_ids for each in news if each.kind == "profile"]
    assert [ids[0].split("-")[0] for ids in profiled] == ["vanilla", "dcgan28"]


def test_lanes_are_profiled_together(trial: Make) -> None:
    (told,) = [each for each in heard(trial(seeds=(0, 1), lanes=2, epochs=1, profile=True)) if each.profile]
    assert told.profile is not None
    assert (len(told.run_ids), told.profile.lanes) == (2, 2)


def test_workers_send_their_profiles(trial: Make) -> None:
    news = heard(trial(seeds=(0, 1), jobs=2, epochs=1, profile=True))
    assert len([each for each in news if each.kind == "profile"]) == 1
    assert any("--jobs 1" in each.text for each in news if each.kind == "notice")


def test_where_nothing_is_left_to_train_it_is_said(trial: Make) -> None:
    trial(epochs=1).run()
    news = heard(trial(epochs=1, profile=True))
    assert not [each for each in news if each.kind == "profile"]
    assert any("--fresh trains anew" in each.text for each in news if each.kind == "notice")
