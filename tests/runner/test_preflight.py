"""Preflight: broken rules of plugins are found at planning, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.events import notices_into
from helpers.whole_runs import Trial
from torch import Tensor, nn

import gan_bench as gb
from gan_bench.core.errors import InputError
from gan_bench.core.events import Event
from gan_bench.data.base import Dataset, ImageData, datasets
from gan_bench.models.base import models
from gan_bench.models.vanilla import Vanilla
from gan_bench.runner import preflight
from gan_bench.training import contract

Make = Callable[..., Trial]


class OneColumn(Vanilla):
    """D returns [B, 1]."""

    def discriminator(self) -> nn.Module:
        return nn.Sequential(super().discriminator(), nn.Unflatten(0, (-1, 1)))


class Noisy(nn.Module):
    """Noise from the global generator."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 0.1 * torch.randn_like(x)).clamp(-1, 1)


class NoisyGenerator(Vanilla):
    """G draws in forward."""

    def generator(self) -> nn.Module:
        return nn.Sequential(super().generator(), Noisy())


@pytest.mark.usefixtures("borrowed_registries")
def test_broken_models_are_refused_at_planning_all_at_once_and_nothing_is_stored(trial: Make) -> None:
    models.register("one-column")(OneColumn)
    models.register("noisy")(NoisyGenerator)
    tried = trial(models=("vanilla", "one-column", "noisy"), seeds=(0, 1))
    with pytest.raises(InputError) as refused:
        tried.plan()
    first, second = str(refused.value).splitlines()
    assert "model 'one-column': D returns [8, 1]" in first
    assert "model 'noisy': G draws random numbers in forward (Noisy 1)" in second
    assert not tried.out.exists()


def test_built_in_models_are_not_tried(trial: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        pytest.fail("tried")

    for check in ("check_networks", "check_loss", "check_penalty"):
        monkeypatch.setattr(contract, check, fail)
    trial(models=("vanilla", "dcgan"), losses=("bce", "hinge"), penalties=("none", "r1")).plan()


@pytest.mark.usefixtures("borrowed_registries")
def test_each_model_is_tried_once_and_not_where_all_its_runs_are_trained(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.register("good")(type("Good", (Vanilla,), {"__module__": __name__}))
    tried: list[str] = []
    monkeypatch.setattr(contract, "check_networks", lambda spec: tried.append(spec.run_id))
    small = trial(models=("good",), seeds=(0, 1), lrs=((1e-4, 1e-4), (2e-4, 2e-4)), epochs=1, metrics=("fid",))
    small.plan()
    assert len(tried) == 1
    small.run()
    assert len(tried) == 2
    small.plan()
    assert len(tried) == 2


@pytest.mark.usefixtures("borrowed_registries")
def test_a_model_that_is_not_finite_is_a_notice_and_its_runs_may_diverge(trial: Make) -> None:
    class NotANumber(Vanilla):
        def discriminator(self) -> nn.Module:
            return nn.Sequential(super().discriminator(), nn.Threshold(1e9, torch.nan))

    models.register("not-a-number")(NotANumber)
    found: list[str] = []
    tried = trial(models=("not-a-number",))
    assert len(gb.plan(tried.matrix, tried.options, notices_into(found)).to_train) == 1
    (text,) = found
    assert text.startswith("model 'not-a-number': D returns values that are not finite; ")
    assert text.endswith("(its runs may diverge)")


FILE = """
import os
from torch import nn
from gan_bench.models.vanilla import Vanilla
from gan_bench.plugins import models

class Broken(nn.Module):
    def forward(self, x):
        {body}

@models.register("from-file")
class FromFile(Vanilla):
    def generator(self):
        return nn.Sequential(super().generator(), Broken())
"""


@pytest.mark.slow
@pytest.mark.workers
@pytest.mark.parametrize("body", ["os._exit(0)", "raise BrokenPipeError"])
def test_a_check_that_crashes_is_a_notice_and_no_refusal(
    tmp_path: Path, trial: Make, borrowed_registries: None, body: str
) -> None:
    """The run is contained, and its record says what happened."""
    plugin = tmp_path / "from_file.py"
    plugin.write_text(FILE.format(body=body))
    found: list[str] = []
    tried = trial(models=("from-file",), plugins=(plugin,))
    planned = gb.plan(tried.matrix, tried.options, notices_into(found))
    assert len(planned.to_train) == 1
    assert any(text.startswith("from-file was not checked before its training: ") for text in found)


@pytest.mark.slow
@pytest.mark.workers
def test_a_broken_rule_of_a_file_is_found_by_a_worker(
    tmp_path: Path, trial: Make, borrowed_registries: None
) -> None:
    plugin = tmp_path / "from_file.py"
    plugin.write_text(FILE.format(body="return x * 2"))
    with pytest.raises(InputError, match=r"model 'from-file': G returns values up to 2 .*end it with nn.Tanh"):
        trial(models=("from-file",), plugins=(plugin,)).plan()


def test_a_check_that_takes_too_long_is_a_notice(
    tmp_path: Path, trial: Make, borrowed_registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "run_in_processes", _late)
    monkeypatch.setattr(preflight, "registered_by_program", list)
    plugin = tmp_path / "from_file.py"
    plugin.write_text(FILE.format(body="return x"))
    found: list[str] = []
    tried = trial(models=("from-file",), plugins=(plugin,))
    gb.plan(tried.matrix, tried.options, notices_into(found))
    assert any("was not checked before its training: killed after 60 s" in text for text in found)


def _late(groups: Any, work: Any, options: Any, threads: int, listen: Any, skip: Any, stop: Any) -> None:
    skip(groups[0], f"killed after {options.run_timeout:g} s", "")


class Oblong(Dataset):
    """Images of 28x40 pixels."""

    title = source = "none"
    channels = 1
    native_size = 28
    n_classes = 0
    train_size = 64
    test_size = 32

    def is_available(self, root: Path) -> bool:
        return True

    def load(self, root: Path, *, offline: bool, on_event: Callable[[Event], None]) -> ImageData:
        train, test = (torch.zeros(n, 1, 28, 40, dtype=torch.uint8) for n in (64, 32))
        return ImageData.from_splits("oblong", (train, None), (test, None), n_classes=0, source="none")


class Raising(Oblong):
    """`load` has a defect."""

    def load(self, root: Path, *, offline: bool, on_event: Callable[[Event], None]) -> ImageData:
        raise KeyError("images")


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Oblong(), "data set 'oblong': its train images are 28x40 pixels, but must be square"),
        (Raising(), "data set 'oblong': load failed: KeyError: 'images'"),
    ],
)
def test_a_data_set_that_breaks_a_rule_is_refused_at_planning(
    trial: Make, monkeypatch: pytest.MonkeyPatch, dataset: Dataset, message: str
) -> None:
    monkeypatch.setitem(datasets._objects, "oblong", dataset)
    tried = trial(dataset="oblong")
    with pytest.raises(InputError, match=message):
        tried.plan()
    assert not tried.out.exists()
