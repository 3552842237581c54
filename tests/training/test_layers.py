"""Every layer with a lane axis computes, for each lane, what the layer that it replaces computes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from training_cases import CPU

from gan_bench.training import kernels, layers, ways
from gan_bench.training.lanes import Lanes

LANES, BATCH = 3, 4
F64 = torch.float64

NETS = {
    "linear": (nn.Linear(6, 5), (6,)),
    "linear without bias": (nn.Linear(6, 5, bias=False), (6,)),
    "conv": (nn.Conv2d(3, 8, 4, stride=2, padding=1), (3, 8, 8)),
    "conv, 5x5": (nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False), (1, 7, 7)),
    "conv, uneven": (nn.Conv2d(2, 3, (3, 5), stride=(1, 2), padding=(0, 2)), (2, 6, 9)),
    "transposed": (nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1), (3, 4, 4)),
    "transposed, more": (nn.ConvTranspose2d(3, 1, 5, 2, 2, output_padding=1, bias=False), (3, 7, 7)),
    "batch norm of vectors": (nn.BatchNorm1d(6, 1e-3, 0.01), (6,)),
    "batch norm of images": (nn.BatchNorm2d(3), (3, 5, 5)),
    "flatten": (nn.Flatten(), (3, 2, 2)),
    "unflatten": (nn.Unflatten(1, (3, 2, 2)), (12,)),
    "two convolutions": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), (3, 6, 6)),
    "to logits": (nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), (6,)),
}


def lifted(net: nn.Module, way: str) -> Lanes:
    lanes = Lanes(nn.Sequential(copy.deepcopy(net)), CPU)
    for layer in lanes.module.modules():
        if isinstance(layer, layers.Convolution | layers.BatchNorm):
            layer.way = way if isinstance(layer, layers.Convolution) or way == "each" else "grouped"
    return lanes


def run(call, tensors: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Outputs, gradients of the input and of every parameter, and the buffers afterwards."""
    leaves = {
        name: t.clone().requires_grad_(t.is_floating_point() and "running" not in name)
        for name, t in tensors.items()
    }
    x = x.clone().requires_grad_()
    y = call({name: t if t.requires_grad else t.detach() for name, t in leaves.items()}, x)
    wanted = [x, *(t for t in leaves.values() if t.requires_grad)]
    gradients = torch.autograd.grad((y.sin() + y * y).sum(), wanted)
    return y, *gradients, *(t for t in leaves.values() if not t.requires_grad)


@pytest.mark.parametrize("way", layers.WAYS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("lanes", [1, LANES])
def test_equals_the_layer_it_replaces(name, way, lanes):
    """Outputs, gradients and running statistics of every lane equal the plain layer's, in float64."""
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
    together = run(lifted(net, way), {key: torch.stack([t[key] for t in of_each]) for key in of_each[0]}, x)
    for lane in range(lanes):
        alone = run(lambda tensors, inputs: functional_call(plain, tensors, (inputs,)), of_each[lane], x[lane])
        for one, other in zip(together, alone, strict=True):
            assert torch.allclose(one[lane].to(F64), other.to(F64), rtol=1e-10, atol=1e-10)


def test_convolutions_of_one_net_may_go_different_ways():
    torch.manual_seed(0)
    net, x = NETS["two convolutions"][0], torch.randn(LANES, BATCH, 3, 6, 6, dtype=F64)
    tensors = {
        f"0.{name}": torch.randn(LANES, *value.shape, dtype=F64) for name, value in net.state_dict().items()
    }
    alike, mixed = lifted(net, "each"), lifted(net, "each")
    next(each for each in mixed.module.modules() if isinstance(each, layers.Convolution)).way = "grouped"
    for one, other in zip(run(alike, tensors, x), run(mixed, tensors, x), strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("net", [nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, padding="same"), nn.GELU()])
def test_layers_it_does_not_know_are_left_to_vmap(net):
    plain = nn.Sequential(net)
    assert not layers.stack_(plain, CPU)
    assert type(plain[0]) is type(net)


def test_a_net_that_is_no_sequence_is_lifted_too():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(x)

    net, x = Skip(), torch.randn(LANES, BATCH, 6)
    weights, biases = torch.randn(LANES, 6, 6), torch.randn(LANES, 6)
    together = Lanes(net, CPU)({"inner.weight": weights, "inner.bias": biases}, x)
    expected = x + torch.einsum("lbi,loi->lbo", x, weights) + biases[:, None]
    assert torch.allclose(together, expected, atol=1e-5)


def test_layers_that_share_their_weights_share_what_is_handed_in():
    net = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    net[1].weight = net[0].weight
    x, weights = torch.randn(LANES, BATCH, 6), torch.randn(LANES, 6, 6)
    together = Lanes(net, CPU)({"0.weight": weights}, x)
    assert torch.allclose(together, torch.einsum("lbi,lhi,loh->lbo", x, weights, weights), atol=1e-4)


@pytest.mark.parametrize("lanes", [1, LANES])
@pytest.mark.parametrize("bias", [True, False])
def test_onednn_multiplies_as_pytorch_does(lanes, bias):
    x, weight = torch.randn(lanes, BATCH, 6), torch.randn(lanes, 5, 6)
    offsets = torch.randn(lanes, 5) if bias else None
    results = []
    for by_onednn in (False, True):
        leaves = [t.clone().requires_grad_() for t in (x, weight, offsets) if t is not None]
        y = kernels.linear(*leaves, *([] if bias else [None]), by_onednn=by_onednn)
        results.append((y, *torch.autograd.grad((y * y).sum(), leaves)))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_lays_out_images_and_their_gradients(channels):
    x = torch.randn(1, 2, channels, 4, 4).requires_grad_()
    y = kernels.channels_last(x)
    assert torch.equal(x, y)
    assert y.stride()[2] == 1
    (gradient,) = torch.autograd.grad((y * torch.ones(1, 2, channels, 4, 4)).sum(), x)
    assert gradient.stride()[2] == 1


def test_ways_are_timed_and_the_fastest_is_taken():
    net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
    lanes = Lanes(net, CPU)
    with ways.seen_shapes(net) as shapes:
        lanes({"0.weight": torch.randn(2, 8, 3, 4, 4), "0.bias": torch.zeros(2, 8)}, torch.randn(2, 4, 3, 8, 8))
    assert shapes == {"0": torch.Size([1, 4, 3, 8, 8])}, "lane after lane, on a CPU"
    (timing,) = ways.time_ways(net, shapes, torch.float32, CPU)
    assert set(timing.seconds) == set(layers.WAYS)
    assert all(seconds > 0 for seconds in timing.seconds.values())
    slow_but_one = ways.Timing("0", timing.shape, {"each": 3.0, "grouped": 2.0, "gemm": 1.0})
    ways.choose_(net, [slow_but_one])
    assert net[0].way == "gemm"
