"""Batched layers compute, for each lane, what the layers that they are built from compute."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.training_cases import CPU
from torch import nn
from torch.func import functional_call

from gan_bench.training.lanes import batched_layers, conv_autotune
from gan_bench.training.lanes.batched_net import BatchedNet

LANES, BATCH = 3, 4
F64 = torch.float64

NETS = {
    "linear": (nn.Linear(6, 5), (6,)),
    "linear without bias": (nn.Linear(6, 5, bias=False), (6,)),
    "conv": (nn.Conv2d(3, 8, 4, stride=2, padding=1), (3, 8, 8)),
    "conv, 5x5": (nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False), (1, 7, 7)),
    "conv, uneven": (nn.Conv2d(2, 3, (3, 5), stride=(1, 2), padding=(0, 2)), (2, 6, 9)),
    "transposed": (nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1), (3, 4, 4)),
    "transposed, output padding": (nn.ConvTranspose2d(3, 1, 5, 2, 2, output_padding=1, bias=False), (3, 7, 7)),
    "batch norm of vectors": (nn.BatchNorm1d(6, 1e-3, 0.01), (6,)),
    "batch norm of images": (nn.BatchNorm2d(3), (3, 5, 5)),
    "flatten": (nn.Flatten(), (3, 2, 2)),
    "unflatten": (nn.Unflatten(1, (3, 2, 2)), (12,)),
    "two convolutions": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), (3, 6, 6)),
    "to logits": (nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), (6,)),
}


def batched(net: nn.Module, algorithm: str) -> BatchedNet:
    lanes = BatchedNet(nn.Sequential(copy.deepcopy(net)), CPU)
    for layer in lanes.module.modules():
        if isinstance(layer, batched_layers.Convolution):
            layer.algorithm = algorithm
        if isinstance(layer, batched_layers.BatchNorm):
            layer.algorithm = "per_lane" if algorithm == "per_lane" else "grouped"
    return lanes


def run(call, tensors: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Outputs, first and second derivatives of the input and of every parameter, and the buffers afterwards."""
    leaves = {
        name: t.clone().requires_grad_(t.is_floating_point() and "running" not in name)
        for name, t in tensors.items()
    }
    x = x.clone().requires_grad_()
    y = call({name: t if t.requires_grad else t.detach() for name, t in leaves.items()}, x)
    wanted = [x, *(t for t in leaves.values() if t.requires_grad)]
    first = torch.autograd.grad((y.sin() + y * y).sum(), wanted, create_graph=True)
    second = torch.autograd.grad(sum((each.sin() + each * each).sum() for each in first), wanted)
    return y, *first, *second, *(t for t in leaves.values() if not t.requires_grad)


@pytest.mark.parametrize("algorithm", batched_layers.CONV_ALGORITHMS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("lanes", [1, LANES])
def test_equals_the_layer_it_is_built_from(name, algorithm, lanes):
    """Outputs, first and second derivatives and running statistics of every lane, in float64."""
    net, shape = NETS[name]
    torch.manual_seed(0)
    plain = nn.Sequential(copy.deepcopy(net))
    of_each = [
        {
            key: torch.randn_like(value, dtype=F64) if value.is_floating_point() else value
            for key, value in plain.state_dict().items()
        }
        for _ in range(lanes)
    ]
    for tensors in of_each:
        for key in tensors:
            if "running_var" in key:
                tensors[key].abs_()
    x = torch.randn(lanes, BATCH, *shape, dtype=F64)
    together = run(batched(net, algorithm), {key: torch.stack([t[key] for t in of_each]) for key in of_each[0]}, x)
    for lane in range(lanes):
        alone = run(lambda tensors, inputs: functional_call(plain, tensors, (inputs,)), of_each[lane], x[lane])
        for one, other in zip(together, alone, strict=True):
            assert torch.allclose(one[lane].to(F64), other.to(F64), rtol=1e-9, atol=1e-9)


def test_convolutions_of_one_net_may_use_different_algorithms():
    torch.manual_seed(0)
    net, x = NETS["two convolutions"][0], torch.randn(LANES, BATCH, 3, 6, 6, dtype=F64)
    tensors = {
        f"0.{name}": torch.randn(LANES, *value.shape, dtype=F64) for name, value in net.state_dict().items()
    }
    alike, mixed = batched(net, "per_lane"), batched(net, "per_lane")
    first = next(each for each in mixed.module.modules() if isinstance(each, batched_layers.Convolution))
    first.algorithm = "grouped"
    for one, other in zip(run(alike, tensors, x), run(mixed, tensors, x), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("net", [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, padding="same"), nn.GELU()])
def test_layers_without_a_batched_counterpart_are_unchanged(net):
    plain = nn.Sequential(net)
    assert batched_layers.batch_layers(plain, CPU) is None
    assert BatchedNet(plain, CPU).module is plain


def test_batched_layers_leave_the_given_net_unchanged():
    """The new net has the names and the tensors of the given one."""
    net = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Unflatten(1, (2, 2, 2)), nn.BatchNorm2d(2)), nn.ReLU())
    found = batched_layers.batch_layers(net, CPU)
    assert [type(layer) for layer in net.modules() if type(layer) is not nn.Sequential] == [
        nn.Linear,
        nn.Unflatten,
        nn.BatchNorm2d,
        nn.ReLU,
    ]
    for kind in ("named_parameters", "named_buffers"):
        before, after = dict(getattr(net, kind)()), dict(getattr(found, kind)())
        assert list(before) == list(after)
        assert all(before[name] is after[name] for name in before)


def test_tied_weights_stay_tied():
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    net[1].weight = net[0].weight
    x, weights = torch.randn(LANES, BATCH, 6), torch.randn(LANES, 6, 6)
    together = BatchedNet(net, CPU)({"0.weight": weights}, x)
    assert torch.allclose(together, torch.einsum("lbi,lhi,loh->lbo", x, weights, weights), atol=1e-4)


def test_layer_used_twice_stays_one_layer():
    layer = nn.Linear(6, 6, bias=False)
    x, weights = torch.randn(LANES, BATCH, 6), torch.randn(LANES, 6, 6)
    together = BatchedNet(nn.Sequential(layer, nn.ReLU(), layer), CPU)({"0.weight": weights}, x)
    hidden = torch.einsum("lbi,loi->lbo", x, weights).relu()
    assert torch.allclose(together, torch.einsum("lbi,loi->lbo", hidden, weights), atol=1e-4)


def test_autotuning_times_every_algorithm_and_sets_the_fastest():
    lanes = BatchedNet(nn.Sequential(nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2)), CPU)
    net = lanes.module
    with conv_autotune.record_shapes(net) as shapes:
        lanes({"0.weight": torch.randn(2, 8, 3, 4, 4), "0.bias": torch.zeros(2, 8)}, torch.randn(2, 4, 3, 8, 8))
    assert shapes == {"0": torch.Size([1, 4, 3, 8, 8])}, "lane after lane, on a CPU"
    timing = conv_autotune.time_layer("0", net, shapes["0"], torch.float32, CPU)
    assert set(timing.seconds) == set(batched_layers.CONV_ALGORITHMS)
    assert all(seconds > 0 for seconds in timing.seconds.values())
    slow_but_one = conv_autotune.Timing("0", timing.shape, {"per_lane": 3.0, "grouped": 2.0, "im2col": 1.0})
    conv_autotune.set_algorithms(net, [slow_but_one])
    assert net[0].algorithm == "im2col"
