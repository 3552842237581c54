"""BatchedNet with modules of any kind: lifted by vmap, or called lane by lane where vmap fails."""

from __future__ import annotations

import pytest
import torch
from helpers.plugin_models import LayerNormDiscriminator, ResidualGenerator, SpectralDiscriminator
from helpers.training_cases import CPU
from torch import Tensor, nn
from torch.func import functional_call

from gan_bench.training.lanes.batched_net import BatchedNet
from gan_bench.training.state import initial_state, structure

LANES, BATCH = 3, 4
F64 = torch.float64


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Branching(Skip):
    """Data-dependent control flow, which vmap refuses."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else self.inner(x)


CASES = {
    "skip": (Skip, (6,), False),
    "data-dependent control flow": (Branching, (6,), True),
    "batch norm in a module": (lambda: ResidualGenerator(6, 1, 8), (6,), False),
    "layer norm": (lambda: LayerNormDiscriminator(1, 8), (1, 8, 8), False),
    "spectral norm": (lambda: SpectralDiscriminator(1, 8, 0.0), (1, 8, 8), True),
}


@pytest.mark.parametrize("name", CASES)
def test_lanes_equal_the_module_itself(name):
    """Outputs, buffers afterwards, and first and second derivatives."""
    build, shape, is_lane_by_lane = CASES[name]
    module = structure(build)
    state = initial_state(module, build, range(LANES), "d", "he", CPU, F64)
    net = BatchedNet(module, CPU)
    net.choose_lifting({**state.params, **state.buffers}, (BATCH, *shape), F64)
    assert net._lane_by_lane is is_lane_by_lane
    x = torch.randn(LANES, BATCH, *shape, dtype=F64, generator=torch.Generator().manual_seed(1))

    def derivatives(call, params, x) -> list[Tensor]:
        params = {key: value.clone().requires_grad_() for key, value in params.items()}
        x = x.clone().requires_grad_()
        y = call(params, x)
        wanted = [x, *params.values()]
        first = torch.autograd.grad((y**3).sum(), wanted, create_graph=True, materialize_grads=True)
        second = torch.autograd.grad(first[0].square().sum(), wanted, materialize_grads=True)
        return [y, *first, *second]

    buffers = {key: value.clone() for key, value in state.buffers.items()}
    together = derivatives(lambda params, inputs: net({**params, **buffers}, inputs), state.params, x)
    plain = build().to(F64)
    for lane in range(LANES):
        own = {key: value[lane].clone() for key, value in state.buffers.items()}
        alone = derivatives(
            lambda params, inputs, own=own: functional_call(plain, {**params, **own}, (inputs,)),
            {key: value[lane] for key, value in state.params.items()},
            x[lane],
        )
        for one, other in zip(together, alone, strict=True):
            assert torch.allclose(one[lane], other, rtol=1e-9, atol=1e-9)
        for key, value in own.items():
            assert torch.allclose(buffers[key][lane].to(F64), value.to(F64), rtol=1e-9, atol=1e-9), key


@pytest.mark.parametrize("name", CASES)
def test_the_trial_changes_no_tensor(name):
    build, shape, _ = CASES[name]
    module = structure(build)
    state = initial_state(module, build, range(LANES), "d", "he", CPU, F64)
    tensors = {**state.params, **state.buffers}
    before = {key: value.clone() for key, value in tensors.items()}
    BatchedNet(module, CPU).choose_lifting(tensors, (BATCH, *shape), F64)
    assert all(torch.equal(before[key], value) for key, value in tensors.items())


def test_vmap_with_other_values_is_not_used():
    module = structure(Skip)
    state = initial_state(module, Skip, range(LANES), "d", "he", CPU, F64)
    net = BatchedNet(module, CPU)
    net._lift = lambda tensors, inputs: net._forward(tensors, inputs) + 1
    net.choose_lifting({**state.params, **state.buffers}, (BATCH, 6), F64)
    assert net._lane_by_lane


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("lanes", [1, LANES])
def test_bf16_inputs_use_autocast(name, lanes):
    """Outputs agree with fp32 to the precision of bf16; parameters stay in fp32."""
    build, shape, _ = CASES[name]
    module = structure(build)
    state = initial_state(module, build, range(lanes), "d", "he", CPU, torch.float32)
    net = BatchedNet(module, CPU)
    assert net.full_precision_names == set(state.params)
    net.choose_lifting({**state.params, **state.buffers}, (BATCH, *shape), torch.bfloat16)
    x = torch.randn(lanes, BATCH, *shape, generator=torch.Generator().manual_seed(1))
    exact, rounded = (
        net({key: value.clone() for key, value in {**state.params, **state.buffers}.items()}, x.to(dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert not torch.equal(exact, rounded.float())
    assert (exact - rounded.float()).abs().mean() < 0.02 * exact.abs().max()
