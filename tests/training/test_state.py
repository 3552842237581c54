"""Initial values of every model's tensors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gan_bench.training import state

CPU = torch.device("cpu")
NET = nn.Sequential(
    nn.Linear(400, 300, bias=False), nn.BatchNorm1d(300), nn.Unflatten(1, (12, 5, 5)), nn.Conv2d(12, 500, 3)
)


@pytest.mark.parametrize(
    ("scheme", "linear", "conv"), [("dcgan", 0.02, 0.02), ("he", math.sqrt(2 / 400), math.sqrt(2 / 108))]
)
def test_weights_begin_as_published(scheme, linear, conv):
    params = state.initial(NET, [0], "g", scheme, CPU, torch.float64).params
    assert params["0.weight"].std().item() == pytest.approx(linear, rel=0.02)
    assert params["3.weight"].std().item() == pytest.approx(conv, rel=0.02)
    assert abs(params["0.weight"].mean().item()) < linear / 50
    assert params["1.weight"].mean().item() == pytest.approx(1, abs=0.01), "BatchNorm scales are N(1, 0.02)"
    assert params["1.weight"].std().item() == pytest.approx(0.02, rel=0.2)
    assert not params["1.bias"].any()
    assert not params["3.bias"].any()


def test_buffers_begin_neutral():
    buffers = state.initial(NET, [0, 1], "g", "dcgan", CPU, torch.float32).buffers
    assert buffers["1.running_var"].eq(1).all()
    assert buffers["1.running_mean"].eq(0).all()
    assert buffers["1.num_batches_tracked"].tolist() == [0, 0]


def test_a_lane_depends_on_its_seed_only():
    pair = state.initial(NET, [3, 4], "g", "dcgan", CPU, torch.float32).params["0.weight"]
    alone = state.initial(NET, [4], "g", "dcgan", CPU, torch.float32).params["0.weight"]
    other_net = state.initial(NET, [4], "d", "dcgan", CPU, torch.float32).params["0.weight"]
    assert torch.equal(pair[1], alone[0])
    assert not torch.equal(pair[0], pair[1])
    assert not torch.equal(other_net, alone)
