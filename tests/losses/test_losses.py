"""The contract of every registered loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_bench.losses.loss import losses


@pytest.mark.parametrize("name", losses.names())
def test_one_value_per_lane_with_finite_gradients(name):
    loss = losses.get(name)()
    real = torch.linspace(-40, 40, 15).reshape(3, 5).requires_grad_()
    fake = torch.linspace(40, -40, 15).reshape(3, 5).requires_grad_()
    d, g = loss.discriminator(real, fake), loss.generator(fake)
    assert d.shape == g.shape == (3,)
    for lane in range(3):
        assert torch.allclose(d[lane], loss.discriminator(real[lane], fake[lane]))
        assert torch.allclose(g[lane], loss.generator(fake[lane]))
    (d.sum() + g.sum()).backward()
    assert torch.isfinite(real.grad).all()
    assert torch.isfinite(fake.grad).all()


@pytest.mark.parametrize("name", losses.names())
def test_better_discrimination_lowers_d_and_raises_g(name):
    loss = losses.get(name)()
    weak, strong = torch.full((4,), 0.1), torch.full((4,), 0.9)
    assert loss.discriminator(strong, -strong) < loss.discriminator(weak, -weak)
    assert loss.generator(-strong) > loss.generator(-weak)


def test_bce_is_torchs():
    real, fake = torch.randn(2, 8, dtype=torch.float64)
    loss = losses.get("bce")()
    ones, zeros = torch.ones(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64)
    cross = binary_cross_entropy_with_logits
    assert torch.allclose(loss.discriminator(real, fake), cross(real, ones) + cross(fake, zeros))
    assert torch.allclose(loss.generator(fake), cross(fake, ones))
