"""oneDNN's linear layer and the channels-last layout: values, and first and second derivatives."""

from __future__ import annotations

import pytest
import torch

from gan_bench.devices import select
from gan_bench.training import cpu_kernels

CPU = torch.device("cpu")
BATCH = 4


def tensors(lanes: int, bias: bool) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = [(lanes, BATCH, 6), (lanes, 5, 6), *([(lanes, 5)] if bias else [])]
    return [torch.randn(shape) for shape in shapes]


def gradients(leaves: list[torch.Tensor], bias: bool, *, by_onednn: bool) -> list[torch.Tensor]:
    """The output, its gradients, and the gradients of a function of those gradients."""
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    y = cpu_kernels.linear(*leaves, *([] if bias else [None]), by_onednn=by_onednn)
    first = torch.autograd.grad((y * y).sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum((value * value).sum() for value in first), leaves)
    return [y, *first, *second]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_onednn_equals_pytorch_up_to_second_derivatives(lanes, bias):
    leaves = tensors(lanes, bias)
    pairs = zip(*(gradients(leaves, bias, by_onednn=on) for on in (False, True)), strict=True)
    for expected, found in pairs:
        assert torch.allclose(expected, found, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_onednn_is_used_only_where_asked():
    y = cpu_kernels.linear(*(leaf.requires_grad_() for leaf in tensors(1, True)), by_onednn=True)
    assert "OneDNNLinear" in type(y.grad_fn).__name__
    y = cpu_kernels.linear(*(leaf.requires_grad_() for leaf in tensors(1, True)), by_onednn=False)
    assert "OneDNNLinear" not in type(y.grad_fn).__name__


def test_float64_is_left_to_pytorch():
    x, weight, bias = (leaf.double().requires_grad_() for leaf in tensors(2, True))
    assert torch.autograd.gradgradcheck(
        lambda *leaves: cpu_kernels.linear(*leaves, by_onednn=True), (x, weight, bias)
    )


@pytest.mark.parametrize(
    ("vendor", "device", "choice", "expected"),
    [
        ("AuthenticAMD", "cpu", "auto", "onednn"),
        ("AuthenticAMD", "cpu", "pytorch", "pytorch"),
        ("AuthenticAMD", "cuda", "auto", "pytorch"),
        ("GenuineIntel", "cpu", "auto", "pytorch"),
        ("", "cpu", "auto", "pytorch"),
    ],
)
def test_rule_and_switch(monkeypatch, vendor, device, choice, expected):
    if not torch._C.has_mkl:
        pytest.skip("the rule compares oneDNN with MKL")
    monkeypatch.setattr(select, "cpu_vendor", lambda: vendor)
    assert cpu_kernels.active(torch.device(device), choice) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_lays_out_images_and_their_gradients(channels):
    x = torch.randn(1, 2, channels, 4, 4).requires_grad_()
    y = cpu_kernels.channels_last(x)
    assert torch.equal(x, y)
    assert y.stride()[2] == 1
    (gradient,) = torch.autograd.grad((y * torch.ones(1, 2, channels, 4, 4)).sum(), x)
    assert gradient.stride()[2] == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_has_second_derivatives(channels):
    x = torch.randn(2, 2, channels, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: cpu_kernels.channels_last(x) ** 3, (x,))
