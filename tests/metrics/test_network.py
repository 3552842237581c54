"""The classifier made quick: equal to the one that was trained."""

from __future__ import annotations

import torch

from gan_bench.metrics.extractors.network import folded, initialised


def test_folding_changes_nothing_but_rounding_and_leaves_the_net_as_it_was() -> None:
    net = initialised(1, 10, torch.Generator().manual_seed(0)).requires_grad_(False)
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1
    net.train()(3 * images + 1)  # running statistics that matter
    for layer in net.body:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.data.uniform_(-1.5, 1.5, generator=torch.Generator().manual_seed(2))
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    quick = folded(net)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in quick.modules())
    for one, other in zip(quick(images), net(images), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
