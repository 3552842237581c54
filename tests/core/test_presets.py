"""Presets set only what the user did not."""

from __future__ import annotations

import pytest

from gan_bench.core.errors import InputError
from gan_bench.core.matrix import Matrix
from gan_bench.core.presets import PRESET_SUMMARIES, PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_only_what_the_user_did_not(name: str) -> None:
    plain = Matrix(models=("plain",)).with_preset(name)
    for key, value in PRESETS[name].items():
        assert getattr(plain, key) == value
    mine = Matrix(models=("plain",), seeds=(7,), steps=5, eval_samples=99, settings={"width": 3.0, "z_dim": 8})
    both = mine.with_preset(name)
    assert (both.seeds, both.epochs, both.steps, both.eval_samples) == ((7,), None, 5, 99)
    assert both.settings == {"width": 3.0, "z_dim": 8}
    Matrix.model_validate(plain.model_dump())


def test_what_a_preset_sets_is_said_as_it_would_be_typed() -> None:
    asked = "--seeds 0 --steps 3000 --batch-size 64 --eval-samples 2000 --set width=0.5"
    assert Matrix(models=("plain",)).preset_options("quick") == asked
    mine = Matrix(models=("plain",), seeds=(0, 1, 2), epochs=25, settings={"width": 1.0})
    assert mine.preset_options("quick") == "--batch-size 64 --eval-samples 2000"
    assert Matrix(models=("plain",), seeds=(1,), eval_samples=9999).preset_options("paper") == ""


def test_every_preset_has_a_summary() -> None:
    assert PRESETS.keys() == PRESET_SUMMARIES.keys() == {"smoke", "quick", "standard", "paper"}


def test_an_unknown_preset_is_an_error_with_the_closest_name() -> None:
    with pytest.raises(InputError, match="did you mean quick"):
        Matrix(models=("plain",)).with_preset("quik")
