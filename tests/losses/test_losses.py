"""Contract of every registered loss, and the formulas of the built-in ones."""

from __future__ import annotations

import pytest
import torch
from helpers.oracle import LOSSES
from helpers.training_cases import small_spec

from gan_bench.core.errors import InputError
from gan_bench.core.training_spec import OWN_OPTIONS, Recipe
from gan_bench.losses.base import build_loss, losses
from gan_bench.models.base import models
from gan_bench.penalties.base import penalties, penalty_parts


@pytest.mark.parametrize("name", losses.names())
def test_one_value_per_lane_with_finite_gradients(name):
    loss = losses.get(name)()
    real = torch.linspace(-40, 40, 15).reshape(3, 5).requires_grad_()
    fake = torch.linspace(40, -40, 15).reshape(3, 5).requires_grad_()
    d, g = loss.discriminator(real, fake), loss.generator(real, fake)
    assert d.shape == g.shape == (3,)
    for lane in range(3):
        assert torch.allclose(d[lane], loss.discriminator(real[lane], fake[lane]))
        assert torch.allclose(g[lane], loss.generator(real[lane], fake[lane]))
    (d.sum() + g.sum()).backward()
    assert torch.isfinite(real.grad).all()
    assert torch.isfinite(fake.grad).all()


@pytest.mark.parametrize("name", losses.names())
def test_better_discrimination_lowers_d_and_raises_g(name):
    loss = losses.get(name)()
    (weak_real, weak_fake), (real, fake) = torch.tensor([[0.5, 0.4], [0.9, 0.1]])[:, :, None].expand(2, 2, 4)
    assert loss.discriminator(real, fake) < loss.discriminator(weak_real, weak_fake)
    assert loss.generator(real, fake) > loss.generator(weak_real, weak_fake)


@pytest.mark.parametrize("name", losses.names())
def test_real_logits_in_g_are_declared(name):
    """A loss that does not declare them works without."""
    loss = losses.get(name)()
    if not loss.uses_real_in_generator:
        assert loss.generator(None, torch.zeros(2, 4)).shape == (2,)


@pytest.mark.parametrize("name", losses.names())
def test_equals_a_plain_formula(name):
    """In float64; a new built-in loss needs its formula in helpers/oracle.py."""
    d_formula, g_formula = LOSSES[name]
    real, fake = torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = losses.get(name)()
    assert torch.allclose(loss.discriminator(real, fake), d_formula(real, fake), rtol=1e-12)
    assert torch.allclose(loss.generator(real, fake), g_formula(real, fake), rtol=1e-12)


@pytest.mark.parametrize("name", losses.names())
def test_declarations_are_consistent(name):
    """Overrides are values of every model's recipe, own values have unique names, and penalties fit."""
    loss = losses.get(name)
    assert loss.title
    assert loss.paper
    Recipe(**loss.overrides)
    assert not set(loss.overrides) & {"loss", "batch_size", "epochs", "steps"}
    taken = set(OWN_OPTIONS).union(*(models.get(model).recipe_type.model_fields for model in models))
    assert not taken & set(loss.recipe_type.model_fields)
    fitting = {"none", *penalties} if loss.penalties is None else set(loss.penalties)
    assert loss.default_penalty in fitting or penalty_parts(loss.default_penalty)
    assert fitting <= {"none", *penalties}


def test_wgan_gp_is_as_published():
    loss = losses.get("wgan-gp")
    assert loss.overrides == {"d_steps": 5, "beta1": 0.0, "beta2": 0.9}
    assert (loss.default_penalty, loss.penalties) == ("gp", ("gp",))


@pytest.mark.parametrize("name", losses.names())
def test_built_from_a_spec(name):
    assert type(build_loss(small_spec("vanilla", loss=name))) is losses.get(name)


def test_unknown_loss_is_an_error():
    spec = small_spec("vanilla").model_copy(update={"loss": "hinges"})
    with pytest.raises(InputError, match="unknown loss 'hinges': did you mean hinge"):
        build_loss(spec)


def test_wgan_limits_the_weights_of_d():
    assert losses.get("wgan")().weight_limit == 0.01
    assert build_loss(small_spec("vanilla", loss="wgan", settings={"wgan_clip": 0.5})).weight_limit == 0.5
    assert [name for name in losses.names() if losses.get(name)().weight_limit] == ["wgan"]
