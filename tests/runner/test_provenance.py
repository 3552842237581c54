"""Provenance: a run has the hash of its plugins' code, and runs of other code are named and kept apart."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from helpers.made_runs import build, make_spec
from helpers.whole_runs import Trial, notices

import gan_bench as gb
from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import Event
from gan_bench.models.base import models
from gan_bench.models.vanilla import Vanilla
from gan_bench.report.labels import labels
from gan_bench.runner import environment, provenance

Make = Callable[..., Trial]
Code = Callable[[str], None]


class Changed(Vanilla):
    """A model whose code is said to change."""


@pytest.fixture
def code(borrowed_registries: None, monkeypatch: pytest.MonkeyPatch) -> Code:
    """Register a model `changed`, and set the hash of its code."""
    models.register("changed")(Changed)

    def is_now(sha256: str) -> None:
        monkeypatch.setattr(provenance, "code_sha256", lambda entry: sha256)

    is_now("aaaaaaaaaaaa")
    return is_now


def small(trial: Make, *seeds: int, **changes: object) -> Trial:
    return trial(models=("changed",), seeds=seeds, epochs=1, metrics=("fid",), **changes)


def planned(tried: Trial) -> tuple[gb.Plan, list[str]]:
    events: list[Event] = []
    return gb.plan(tried.matrix, tried.options, events.append), notices(events)


def test_environment_json_has_the_hash_of_the_code_and_of_the_images(trial: Make, code: Code) -> None:
    tried = small(trial, 0)
    tried.run()
    found = json.loads((tried.folders()[0] / "environment.json").read_text())
    assert found["model_code"] == "aaaaaaaaaaaa"
    assert "loss_code" not in found, "bce is built in: the commit is its code"
    assert found["dataset_sha256"].startswith("bec27dbe")


def test_a_finished_run_of_other_code_is_said_and_never_pooled_with_new_ones(trial: Make, code: Code) -> None:
    small(trial, 0).run()
    assert planned(small(trial, 0))[1] == []
    code("bbbbbbbbbbbb")
    both = small(trial, 0, 1)
    plan, said = planned(both)
    assert (len(plan.finished), len(plan.to_train)) == (1, 1)
    assert said == [
        "1 finished run was trained by other code of model changed; reports keep other code and images apart; "
        "--fresh trains again"
    ]
    both.run()
    named = labels(both.stored())
    assert len(set(named.values())) == 2
    assert all(label.startswith("changed (code=") for label in named.values())
    text = gb.write_report(both.out).markdown.read_text()
    assert "The code of a plugin, or the images of a data set, changed between runs" in text


def test_weights_are_not_evaluated_by_other_code(trial: Make, code: Code) -> None:
    tried = small(trial, 0)
    (record,) = tried.run()
    code("bbbbbbbbbbbb")
    plan, _ = planned(small(trial, 0, eval_draws=2))
    assert (len(plan.finished), len(plan.to_evaluate)) == (1, 0)
    with pytest.raises(InputError, match="was trained by other code of model 'changed'"):
        gb.evaluate([record.run_id], EvaluationSpec(metrics=("kid",), samples=160), tried.options)


def test_a_finished_run_of_another_commit_is_said(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "commit", lambda: "0123abcd")
    tried = trial(epochs=1, metrics=("fid",))
    tried.run()
    assert planned(tried)[1] == []
    monkeypatch.setattr(environment, "commit", lambda: "feedbeef")
    (text,) = planned(tried)[1]
    assert text.startswith("1 finished run was trained at commit 0123abcd of gan_bench, while this is feedbeef")


def test_a_run_on_other_images_is_said() -> None:
    found = provenance.differences(make_spec(), {"dataset_sha256": "ab" * 32}, dataset_sha256="cd" * 32, commit="")
    assert found == ["on other images of data set mnist"]
    assert provenance.differences(make_spec(), {}, dataset_sha256="cd" * 32, commit="0123abcd") == []


def test_a_plugins_run_without_the_plugin_says_which_file_to_give(tmp_path: Path, trial: Make, code: Code) -> None:
    run = build(tmp_path, make_spec("not-here"), pictures=False)
    with pytest.raises(InputError, match=r"model 'not-here', not registered here: give --plugin FILE"):
        provenance.require_registered(run)
    run.environment["plugins"] = ["my_gan.py"]  # type: ignore[index]
    with pytest.raises(InputError, match=r"model 'not-here' of a plugin: give --plugin my_gan.py, with the path"):
        provenance.require_registered(run)
    provenance.require_registered(build(tmp_path, make_spec("vanilla"), pictures=False))
    elsewhere = build(tmp_path, make_spec("vanilla", dataset="cats"), pictures=False)
    with pytest.raises(InputError, match="data set 'cats', not registered here"):
        provenance.require_same_model(elsewhere)
    provenance.require_same_model(elsewhere, dataset=False)  # enough to draw samples
    tried = small(trial, 0)
    (record,) = tried.run()
    del models._objects["changed"]
    with pytest.raises(InputError, match="model 'changed', not registered here: give --plugin FILE"):
        gb.evaluate([record.run_id], EvaluationSpec(samples=160), tried.options)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of importable modules: a model that uses another module."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_blocks.py").write_text("UNITS = 64\ndef units():\n    return UNITS\n")
    (tmp_path / "own_gan.py").write_text(
        "import torch, numpy as np\nfrom own_blocks import units\n"
        "from gan_bench.models.vanilla import Vanilla\nclass Own(Vanilla):\n    pass\n"
    )
    return tmp_path


def load(name: str) -> ModuleType:
    provenance._files_sha256.cache_clear()
    return importlib.import_module(name)


def test_the_hash_covers_a_models_file_and_what_it_imports_of_the_users(package: Path) -> None:
    first = provenance.code_sha256(load("own_gan").Own)
    assert first == provenance.code_sha256(load("own_gan").Own)
    (package / "own_blocks.py").write_text("UNITS = 512\ndef units():\n    return UNITS\n")
    second = provenance.code_sha256(load("own_gan").Own)
    (package / "own_gan.py").write_text((package / "own_gan.py").read_text() + "# other\n")
    third = provenance.code_sha256(load("own_gan").Own)
    assert len({first, second, third}) == 3
    assert all(len(sha256) == 12 for sha256 in (first, second, third))


def test_the_hash_stays_that_of_the_loaded_code_within_a_process(package: Path) -> None:
    first = provenance.code_sha256(load("own_gan").Own)
    (package / "own_gan.py").write_text("# edited while a matrix runs\n")
    assert provenance.code_sha256(importlib.import_module("own_gan").Own) == first


def test_built_in_parts_have_no_hash_of_their_own() -> None:
    assert provenance.code(make_spec("vanilla", loss="hinge", penalty="r1+r2")) == {}
