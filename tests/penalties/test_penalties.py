"""Contract of every registered penalty, and the formulas of the built-in ones."""

from __future__ import annotations

import pytest
import torch
from helpers.training_cases import small_spec
from torch import Tensor

from gan_bench.core.errors import InputError
from gan_bench.core.training_spec import OWN_OPTIONS
from gan_bench.losses.base import losses
from gan_bench.models.base import models
from gan_bench.penalties.base import build_penalty, penalties

LANES, BATCH = 3, 5
F64 = torch.float64


class FixedRng:
    """The same numbers for each lane, whether it is alone or not."""

    def __init__(self, lanes: range, dtype: torch.dtype = F64) -> None:
        self.lanes, self.dtype = lanes, dtype

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        return self._draw(torch.rand, shape)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return self._draw(torch.randn, shape)

    def _draw(self, draw, shape: tuple[int, ...]) -> Tensor:
        lanes = [draw(shape, dtype=F64, generator=torch.Generator().manual_seed(lane)) for lane in self.lanes]
        return torch.stack(lanes).to(self.dtype)


def discriminator(first: Tensor, second: Tensor):
    """Two layers with weights [lanes, ...]: D(x) = second . tanh(first x)."""
    return lambda x: (torch.tanh(x.flatten(2) @ first.transpose(1, 2)) @ second.unsqueeze(2)).squeeze(2)


def case(lanes: range = range(LANES)) -> tuple[Tensor, ...]:
    shapes = [(4, 12), (4,), (BATCH, 3, 2, 2), (BATCH, 3, 2, 2)]
    source = [torch.Generator().manual_seed(100 + lane) for lane in lanes]
    return tuple(torch.stack([torch.randn(shape, dtype=F64, generator=rng) for rng in source]) for shape in shapes)


@pytest.mark.parametrize("name", penalties.names())
def test_one_value_per_lane_with_finite_gradients(name):
    """Differentiable with respect to D's weights, in float32 and for a D with a gradient of zero, too."""
    for dtype, scale in ((F64, 1.0), (torch.float32, 1.0), (F64, 0.0)):
        first, second, real, fake = (each.to(dtype) for each in case())
        first, second = (scale * first).requires_grad_(), second.requires_grad_()
        value = penalties.get(name)()(discriminator(first, second), real, fake, FixedRng(range(LANES), dtype))
        assert value.shape == (LANES,)
        assert value.ge(0).all()
        gradients = torch.autograd.grad(value.sum(), [first, second], materialize_grads=True)
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert scale == 0 or any(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("name", penalties.names())
def test_lanes_equal_solo_runs(name):
    def value(lanes: range) -> Tensor:
        first, second, real, fake = case(lanes)
        return penalties.get(name)()(discriminator(first, second), real, fake, FixedRng(lanes))

    together = value(range(LANES))
    for lane in range(LANES):
        assert torch.allclose(together[lane], value(range(lane, lane + 1))[0], rtol=1e-12)


@pytest.mark.parametrize("name", penalties.names())
def test_images_get_no_gradient(name):
    first, second, real, fake = case()
    real, fake = real.requires_grad_(), fake.requires_grad_()
    value = penalties.get(name)()(
        discriminator(first.requires_grad_(), second), real, fake, FixedRng(range(LANES))
    )
    value.sum().backward()
    assert real.grad is None
    assert fake.grad is None


def input_gradient(first: Tensor, second: Tensor, x: Tensor) -> Tensor:
    """Of D at images x [B, ...] of one lane, by the chain rule: first^T (second * (1 - tanh^2))."""
    slope = 1 - torch.tanh(x.flatten(1) @ first.T) ** 2
    return (slope * second) @ first


def test_gp_equals_its_formula():
    first, second, real, fake = case()
    value = penalties.get("gp")()(discriminator(first, second), real, fake, FixedRng(range(LANES)))
    mix = FixedRng(range(LANES)).uniform((BATCH, 1, 1, 1))
    for lane in range(LANES):
        points = mix[lane] * real[lane] + (1 - mix[lane]) * fake[lane]
        norms = input_gradient(first[lane], second[lane], points).norm(dim=1)
        assert torch.allclose(value[lane], 10 * ((norms - 1) ** 2).mean(), rtol=1e-12)


def test_r1_equals_its_formula():
    first, second, real, fake = case()
    value = penalties.get("r1")()(discriminator(first, second), real, fake, FixedRng(range(LANES)))
    for lane in range(LANES):
        squares = input_gradient(first[lane], second[lane], real[lane]).square().sum(1)
        assert torch.allclose(value[lane], 5 * squares.mean(), rtol=1e-12)


def test_weights_are_recipe_values():
    first, second, real, fake = case()

    def value(name: str, **settings: float) -> Tensor:
        penalty = build_penalty(small_spec("vanilla", penalty=name, settings=settings))
        return penalty(discriminator(first, second), real, fake, FixedRng(range(LANES)))

    assert torch.allclose(value("gp", gp_weight=3.0), 0.3 * value("gp"))
    assert torch.allclose(value("r1", r1_weight=3.0), 0.3 * value("r1"))


def test_interval_is_a_recipe_value():
    assert build_penalty(small_spec("vanilla", penalty="r1")).interval == 1
    assert build_penalty(small_spec("vanilla", penalty="r1", settings={"r1_interval": 16})).interval == 16
    assert build_penalty(small_spec("vanilla", penalty="gp")).interval == 1


@pytest.mark.parametrize("name", penalties.names())
def test_declarations_are_consistent(name):
    """Recipe values have names of their own among models, losses and penalties."""
    penalty = penalties.get(name)
    assert penalty.title
    assert penalty.paper
    assert penalty().interval >= 1
    others = [models.get(model) for model in models]
    others += [losses.get(loss) for loss in losses]
    others += [penalties.get(other) for other in penalties if other != name]
    taken = set(OWN_OPTIONS).union(*(other.recipe_type.model_fields for other in others))
    assert not taken & set(penalty.recipe_type.model_fields)


def test_none_is_no_penalty():
    assert build_penalty(small_spec("vanilla")) is None
    assert "none" not in penalties


def test_unknown_penalty_is_an_error():
    spec = small_spec("vanilla").model_copy(update={"penalty": "r11"})
    with pytest.raises(InputError, match="unknown penalty 'r11': did you mean r1"):
        build_penalty(spec)


def test_r2_equals_its_formula():
    first, second, real, fake = case()
    value = penalties.get("r2")()(discriminator(first, second), real, fake, FixedRng(range(LANES)))
    for lane in range(LANES):
        squares = input_gradient(first[lane], second[lane], fake[lane]).square().sum(1)
        assert torch.allclose(value[lane], 5 * squares.mean(), rtol=1e-12)


def test_dragan_equals_its_formula():
    first, second, real, fake = case()
    value = penalties.get("dragan")()(discriminator(first, second), real, fake, FixedRng(range(LANES)))
    perturbation = FixedRng(range(LANES)).uniform(tuple(real.shape[1:]))
    mix = FixedRng(range(LANES)).uniform((BATCH, 1, 1, 1))
    for lane in range(LANES):
        noisy = real[lane] + 0.5 * real[lane].std(correction=0) * perturbation[lane]
        points = (1 - mix[lane]) * real[lane] + mix[lane] * noisy
        norms = input_gradient(first[lane], second[lane], points).norm(dim=1)
        assert torch.allclose(value[lane], 10 * ((norms - 1) ** 2).mean(), rtol=1e-12)


def test_one_sided_gp_ignores_norms_below_one():
    first, second, real, fake = case()
    flat = discriminator(1e-3 * first, second)

    def value(**settings: bool) -> Tensor:
        penalty = build_penalty(small_spec("vanilla", penalty="gp", settings=settings))
        return penalty(flat, real, fake, FixedRng(range(LANES)))

    assert value(gp_one_sided=True).eq(0).all()
    assert value().gt(9).all()


def test_penalties_joined_by_plus_are_added():
    first, second, real, fake = case()

    def value(name: str) -> Tensor:
        penalty = build_penalty(small_spec("vanilla", penalty=name))
        return penalty(discriminator(first, second), real, fake, FixedRng(range(LANES)))

    assert torch.allclose(value("r1+r2"), value("r1") + value("r2"), rtol=1e-12)


def test_added_penalties_need_one_interval():
    spec = small_spec("vanilla", penalty="r1+r2", settings={"r1_interval": 16, "r2_interval": 16})
    assert build_penalty(spec).interval == 16
    with pytest.raises(InputError, match="need one interval, not 1 and 16"):
        build_penalty(small_spec("vanilla", penalty="r1+r2", settings={"r1_interval": 16}))


@pytest.mark.parametrize(("name", "message"), [("r1+r3", "unknown penalty 'r3'"), ("r1+r1", "r1 is named twice")])
def test_sums_of_unknown_or_equal_penalties_are_errors(name, message):
    spec = small_spec("vanilla", penalty="r1").model_copy(update={"penalty": name})
    with pytest.raises(InputError, match=message):
        build_penalty(spec)


@pytest.mark.parametrize("name", penalties.names())
def test_second_derivatives_equal_finite_differences(name):
    """The gradient of the penalty with respect to D's weights, in float64."""
    first, second, real, fake = case()

    def value(weights: Tensor) -> Tensor:
        return penalties.get(name)()(discriminator(weights, second), real, fake, FixedRng(range(LANES))).sum()

    weights = first.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(weights), weights)
    direction = torch.randn(first.shape, dtype=F64, generator=torch.Generator().manual_seed(3))
    difference = (value(first + 1e-6 * direction) - value(first - 1e-6 * direction)) / 2e-6
    assert torch.allclose((gradient * direction).sum(), difference, rtol=1e-6)
