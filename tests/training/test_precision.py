"""Casts of parameters: layouts, exceptions, and updates equal to those of differentiable casts."""

from __future__ import annotations

import torch
from helpers.training_cases import CPU
from torch import nn
from torch.func import functional_call

from gan_bench.training.optimizer import Adam
from gan_bench.training.precision import cast
from gan_bench.training.state import NORMALIZED, NetState, initial_state, parameter_names

BF16 = torch.bfloat16


def small_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 4))


def small_state(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, NetState]:
    net = small_net()
    return net, initial_state(net, small_net, [3], "g", "dcgan", CPU, dtype)


def test_cast_keeps_batch_norm_order_and_layout():
    net, state = small_state()
    found = cast(state.params, parameter_names(net, NORMALIZED), BF16)
    assert list(found) == list(state.params)
    for name, value in found.items():
        own = state.params[name]
        assert value.dtype == (torch.float32 if name.startswith("1.") else BF16)
        assert value.stride() == own.stride()
        assert torch.equal(value, own.to(value.dtype))


def test_cast_copies_nothing_for_an_equal_dtype():
    net, state = small_state()
    found = cast(state.params, parameter_names(net, NORMALIZED), torch.float32)
    assert all(found[name] is value for name, value in state.params.items())


def test_updates_equal_those_of_differentiable_casts():
    """Gradients of the cast copies update fp32 weights as torch.optim does through `.to(bf16)`."""
    net, state = small_state()
    keep = parameter_names(net, NORMALIZED)
    x = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(0)).to(BF16)
    textbook = {name: nn.Parameter(value[0].clone()) for name, value in state.params.items()}
    buffers = {name: value[0].clone() for name, value in state.buffers.items()}
    optimizer = torch.optim.Adam(textbook.values(), 1e-2, betas=(0.5, 0.999), fused=True)
    adam = Adam(state, [1e-2], 0.5, 0.999)

    def loss(weights):
        return functional_call(net, {**weights, **buffers}, (x,)).float().square().mean()

    for _ in range(5):
        optimizer.zero_grad()
        loss({n: p if n in keep else p.to(BF16) for n, p in textbook.items()}).backward()
        optimizer.step()
        leaves = {n: v[0].detach().requires_grad_() for n, v in cast(state.params, keep, BF16).items()}
        adam.step([g.unsqueeze(0) for g in torch.autograd.grad(loss(leaves), list(leaves.values()))])
        for name, value in textbook.items():
            assert torch.equal(state.params[name][0], value.detach()), name
