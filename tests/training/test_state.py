"""Initial values of the tensors of any module."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.plugin_models import LayerNormDiscriminator, SpectralDiscriminator
from torch import nn

from gan_bench.training import state

CPU = torch.device("cpu")


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(400, 300, bias=False), nn.BatchNorm1d(300), nn.Unflatten(1, (12, 5, 5)), nn.Conv2d(12, 500, 3)
    )


def initial(build=small_net, seeds=(0,), net="g", scheme="dcgan", dtype=torch.float32) -> state.NetState:
    return state.initial_state(state.structure(build), build, seeds, net, scheme, CPU, dtype)


@pytest.mark.parametrize(
    ("scheme", "linear", "conv"), [("dcgan", 0.02, 0.02), ("he", math.sqrt(2 / 400), math.sqrt(2 / 108))]
)
def test_weights_follow_the_recipe(scheme, linear, conv):
    params = initial(scheme=scheme, dtype=torch.float64).params
    assert params["0.weight"].std().item() == pytest.approx(linear, rel=0.02)
    assert params["3.weight"].std().item() == pytest.approx(conv, rel=0.02)
    assert abs(params["0.weight"].mean().item()) < linear / 50
    assert params["1.weight"].mean().item() == pytest.approx(1, abs=0.01), "BatchNorm scales are N(1, 0.02)"
    assert params["1.weight"].std().item() == pytest.approx(0.02, rel=0.2)
    assert not params["1.bias"].any()
    assert not params["3.bias"].any()


def test_batch_norm_statistics_start_at_0_and_1():
    buffers = initial(seeds=(0, 1)).buffers
    assert buffers["1.running_var"].eq(1).all()
    assert buffers["1.running_mean"].eq(0).all()
    assert buffers["1.num_batches_tracked"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (small_net, "0.weight"),
        (lambda: SpectralDiscriminator(1, 28, 0.3), "conv.parametrizations.weight.original"),
        (lambda: SpectralDiscriminator(1, 28, 0.3), "conv.parametrizations.weight.0._u"),
    ],
)
def test_a_lane_depends_on_its_seed_and_its_network_only(build, name):
    def value(seeds: tuple[int, ...], net: str = "g") -> torch.Tensor:
        found = initial(build, seeds, net)
        return {**found.params, **found.buffers}[name]

    pair, alone = value((3, 4)), value((4,))
    assert torch.equal(pair[1], alone[0])
    assert not torch.equal(pair[0], pair[1])
    assert not torch.equal(value((4,), "d"), alone)


def test_other_layers_keep_the_modules_own_values():
    """LayerNorm's scale is 1, and own parameters and buffers are the module's; convolutions follow the recipe."""
    found = initial(lambda: LayerNormDiscriminator(1, 28), (0, 1))
    assert found.params["norm.weight"].eq(1).all()
    assert found.params["norm.bias"].eq(0).all()
    assert found.params["scale"].tolist() == [0.5, 0.5]
    assert 0 < found.buffers["offset"][0] != found.buffers["offset"][1]
    assert found.params["conv.weight"].std().item() == pytest.approx(0.02, rel=0.3)
    assert not found.params["conv.bias"].any()


def test_spectral_norm_keeps_its_own_weight_and_vectors():
    """The vectors are random unit vectors, and those of the weight: sigma is its largest singular value."""
    found = initial(lambda: SpectralDiscriminator(1, 28, 0.3), (0, 1), dtype=torch.float64)
    weight = found.params["conv.parametrizations.weight.original"].flatten(2)
    u, v = (found.buffers[f"conv.parametrizations.weight.0.{name}"] for name in ("_u", "_v"))
    assert torch.allclose(u.norm(dim=1), torch.ones(2, dtype=torch.float64), atol=1e-5)
    sigma = torch.einsum("li,lij,lj->l", u, weight, v)
    assert torch.allclose(sigma, torch.linalg.matrix_norm(weight, 2), rtol=0.05)
    assert found.params["conv.bias"].any(), "all of a layer with parametrizations is its own"


class OwnGain(nn.Linear):
    """A linear layer with a parameter, and a BatchNorm with a buffer, beyond those of PyTorch's."""

    def __init__(self) -> None:
        super().__init__(6, 5)
        self.gain = nn.Parameter(torch.full((5,), 0.7))


class OwnStatistic(nn.BatchNorm1d):
    """A BatchNorm layer with a buffer of its own, named as one of PyTorch's with a prefix."""

    def __init__(self) -> None:
        super().__init__(5)
        self.register_buffer("slow_running_var", torch.full((5,), 0.3))


OWN = {
    "embedding": lambda: nn.Embedding(7, 5),
    "prelu": lambda: nn.PReLU(5, init=0.1),
    "group norm": lambda: nn.GroupNorm(1, 5),
    "instance norm": lambda: nn.InstanceNorm2d(5, affine=True),
    "rms norm": lambda: nn.RMSNorm(5),
    "bilinear": lambda: nn.Bilinear(3, 4, 5),
    "recurrent": lambda: nn.GRU(3, 5),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)),
    "orthogonal": lambda: nn.utils.parametrizations.orthogonal(nn.Linear(6, 5)),
    "older spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(2, 5, 3)),
    "older weight norm": lambda: nn.utils.weight_norm(nn.Linear(6, 5)),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("build", OWN.values(), ids=OWN)
def test_layers_that_the_recipe_does_not_name_keep_all_their_own_values(build):
    """Bit for bit those that the module has when it is built with the run's own random numbers."""
    found = initial(build, (3,))
    own = state._build(build, 3, "module-g")
    values = {**found.params, **found.buffers}
    assert values.keys() == {name for name, _ in (*own.named_parameters(), *own.named_buffers())}
    for name, value in (*own.named_parameters(), *own.named_buffers()):
        assert torch.equal(values[name][0], value.detach()), name


def test_own_parameters_and_buffers_of_subclasses_keep_their_values():
    found = initial(lambda: nn.Sequential(OwnGain(), OwnStatistic()))
    assert found.params["0.gain"].eq(0.7).all()
    assert 0 < found.params["0.weight"].std() < 0.05, "its weight follows the recipe"
    assert found.buffers["1.slow_running_var"].eq(0.3).all()
    assert found.buffers["1.running_var"].eq(1).all()


def test_masks_of_dropout_are_no_state():
    assert not [name for name in initial(lambda: SpectralDiscriminator(1, 28, 0.3)).buffers if "mask" in name]


def test_global_random_numbers_are_restored():
    before = torch.get_rng_state()
    initial(lambda: SpectralDiscriminator(1, 28, 0.3), (0, 1))
    assert torch.equal(before, torch.get_rng_state())


def test_structure_has_no_values():
    net = state.structure(lambda: LayerNormDiscriminator(1, 28))
    assert {value.device.type for value in (*net.parameters(), *net.buffers())} == {"meta"}


def test_tied_weights_are_one_parameter():
    def build() -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        net[1].weight = net[0].weight
        return net

    assert list(initial(build).params) == ["0.weight"]
    net = state.structure(build)
    assert net[0].weight is net[1].weight


def test_parameters_without_gradients_are_not_trained():
    """They keep the module's own values and are among the buffers."""

    def build() -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        net[0].requires_grad_(False)
        return net

    found = initial(build, (0, 1))
    assert list(found.params) == ["1.weight", "1.bias"]
    assert list(found.buffers) == ["0.weight", "0.bias"]
    assert found.buffers["0.bias"].any()
