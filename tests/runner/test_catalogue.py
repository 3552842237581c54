"""The registries as a matrix uses them: models, losses with their penalties, channels of data sets."""

from __future__ import annotations

import pytest

from gan_bench.core.errors import InputError
from gan_bench.core.matrix import Matrix
from gan_bench.losses.base import losses
from gan_bench.models.base import models
from gan_bench.penalties.base import penalties
from gan_bench.runner.catalogue import Registries

REGISTRIES = Registries()


@pytest.mark.parametrize("name", losses.names())
def test_each_loss_fits_its_own_default_penalty(name: str) -> None:
    kind = losses.get(name)
    found = REGISTRIES.loss(name, None)
    assert (found.loss, found.penalty, found.overrides) == (name, kind.default_penalty, kind.overrides)
    assert kind.recipe_type in found.recipe_types


@pytest.mark.parametrize("penalty", ["none", *penalties.names()])
def test_bce_takes_any_penalty(penalty: str) -> None:
    found = REGISTRIES.loss("bce", penalty)
    assert found.penalty == penalty
    assert len(found.recipe_types) == (1 if penalty == "none" else 2)


def test_wgan_gp_brings_its_penalty_and_five_updates_of_d() -> None:
    (spec,) = Matrix(models=("vanilla",), losses=("wgan-gp",), dataset="synthetic").expand(REGISTRIES)
    assert (spec.loss, spec.penalty, spec.settings["d_steps"]) == ("wgan-gp", "gp", 5)
    assert spec.label == "vanilla/wgan-gp+gp"


@pytest.mark.parametrize("penalty", ["none", "r1"])
def test_a_penalty_that_does_not_fit_is_refused_with_what_to_type(penalty: str) -> None:
    with pytest.raises(InputError, match=f"--penalties {penalty} with loss wgan-gp: .*leave --penalties out"):
        REGISTRIES.loss("wgan-gp", penalty)


@pytest.mark.parametrize(("loss", "penalty"), [("bce", "spectral"), ("wgan-gp", "spectral")])
def test_an_unknown_penalty_is_refused_with_the_known_ones(loss: str, penalty: str) -> None:
    with pytest.raises(InputError, match=r"unknown penalty 'spectral': known: .*none"):
        REGISTRIES.loss(loss, penalty)


def test_a_loss_typed_as_a_model_is_refused_with_what_to_type() -> None:
    with pytest.raises(InputError, match=r"--models wgan: wgan is a loss; .*--losses wgan .*vanilla, all"):
        REGISTRIES.model("wgan", None)


@pytest.mark.parametrize("name", models.names())
def test_each_model_resolves_to_itself(name: str) -> None:
    registered, recipe, size = REGISTRIES.model(name, None)
    assert (registered, recipe) == (name, models.get(name).recipe_type)
    assert size in (28, 32, 48, 64, 128)


def test_an_alias_and_an_image_size_name_a_model() -> None:
    assert REGISTRIES.model("dcgan", None)[0] == "dcgan28"
    assert REGISTRIES.model("dcgan", 64)[0] == "dcgan64"


@pytest.mark.parametrize(("dataset", "channels"), [("mnist", 1), ("synthetic", 1), ("synthetic-rgb", 3)])
def test_channels_are_those_of_the_data_set(dataset: str, channels: int) -> None:
    assert REGISTRIES.channels(dataset) == channels
