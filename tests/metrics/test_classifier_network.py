"""Folding BatchNorm into convolutions: equal outputs."""

from __future__ import annotations

import torch

from gan_bench.metrics.extractors.classifier_network import fold_batch_norm, init_classifier


def test_folded_batch_norm_gives_equal_outputs_and_does_not_modify_the_net() -> None:
    net = init_classifier(1, 10, torch.Generator().manual_seed(0)).requires_grad_(False)
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 2 - 1
    net.train()(3 * images + 1)  # running statistics other than 0 and 1
    for layer in net.body:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.weight.data.uniform_(-1.5, 1.5, generator=torch.Generator().manual_seed(2))
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold_batch_norm(net)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    for one, other in zip(folded(images), net(images), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
