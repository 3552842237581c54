"""Tensors of a group: parameters, buffers and moments of both networks, each stacked on a leading lane axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from gan_bench.models.dropout import Dropout
from gan_bench.training import rng

Tensors = dict[str, Tensor]
BuildNet = Callable[[], nn.Module]
INIT_STD = 0.02
"""DCGAN: weights N(0, 0.02), BatchNorm scales N(1, 0.02) (arXiv 1511.06434 and its authors' code)."""
PARTS = ("params", "buffers", "exp_avg", "exp_avg_sq")
WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
NORMALIZED = nn.modules.batchnorm._BatchNorm


@dataclass
class NetState:
    """One network of every lane: each tensor is [lanes, ...]."""

    params: Tensors
    buffers: Tensors
    exp_avg: Tensors = field(default_factory=dict)
    exp_avg_sq: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        for moments in (self.exp_avg, self.exp_avg_sq):
            for name, value in self.params.items():
                moments.setdefault(name, torch.zeros_like(value))

    def lane(self, index: int, parts: Sequence[str] = PARTS) -> Tensors:
        """Return one lane's tensors under flat names such as `params.0.weight`; views, not copies."""
        return {f"{part}.{name}": value[index] for part in parts for name, value in getattr(self, part).items()}

    def load_lane(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Copy the result of `lane` into one lane."""
        for name, value in self.lane(index).items():
            if tensors[name].shape != value.shape:  # copy_ would broadcast
                raise ValueError(f"{name} is {list(tensors[name].shape)}, not {list(value.shape)}")
            value.copy_(tensors[name])


def structure(build: BuildNet) -> nn.Module:
    """Return a network without values: its parameters and buffers are on the meta device.

    It is built on the CPU first, since modules may compute with tensors while they are constructed. Torch's global
    random numbers are restored.
    """
    module = _build(build, 0, "structure")
    # `Module.to` would separate tied weights
    params = {id(value): nn.Parameter(_on_meta(value), value.requires_grad) for value in module.parameters()}
    buffers = {id(value): _on_meta(value) for value in module.buffers()}
    for layer in module.modules():
        for name, param in layer._parameters.items():
            layer._parameters[name] = None if param is None else params[id(param)]
        for name, buffer in layer._buffers.items():
            layer._buffers[name] = None if buffer is None else buffers[id(buffer)]
    return module


def _on_meta(value: Tensor) -> Tensor:
    return value.detach().to("meta")


def initial_state(
    module: nn.Module,
    build: BuildNet,
    seeds: Sequence[int],
    net: str,
    scheme: str,
    device: torch.device,
    dtype: torch.dtype,
) -> NetState:
    """Return initialized tensors for each seed, stacked; `module` is the structure of `build()`, `net` is g or d.

    `scheme` is the recipe's `init`. It applies to the direct parameters of linear, convolution and BatchNorm
    layers: BatchNorm scales are N(1, 0.02) and biases 0 in either scheme. All other parameters and buffers keep
    the module's own initial values, drawn for each lane with a seed of its own, and so does all of a layer with
    parametrizations, so that spectral norm's vectors fit its weight. Parameters without `requires_grad` are not
    trained: they are among the buffers.
    """
    masks = {f"{name}.mask" for name, layer in module.named_modules() if isinstance(layer, Dropout)}
    params = {name: value for name, value in module.named_parameters() if value.requires_grad}
    buffers = {
        name: value
        for name, value in (*module.named_parameters(), *module.named_buffers())
        if name not in params and name not in masks
    }
    by_recipe = params.keys() & parameter_names(module, *WEIGHTED, NORMALIZED)
    statistics = _batch_norm_statistics(module)
    has_own_values = bool(params.keys() - by_recipe or buffers.keys() - statistics)
    lanes: list[tuple[Tensors, Tensors]] = []
    for seed in seeds:
        drawn = _recipe_values(module, by_recipe, rng.make_rng(seed, f"init-{net}", device), scheme, dtype)
        own = _own_values(_build(build, seed, f"module-{net}"), device, dtype) if has_own_values else {}
        lanes.append(
            (
                {name: drawn[name] if name in drawn else own[name] for name in params},
                {
                    name: _statistic(name, value, device, dtype) if name in statistics else own[name]
                    for name, value in buffers.items()
                },
            )
        )
    stacked = {name: lay_out(value, lanes=len(seeds)) for name, value in _stack([p for p, _ in lanes]).items()}
    return NetState(stacked, _stack([b for _, b in lanes]))


def _recipe_values(
    module: nn.Module, names: set[str], source: torch.Generator, scheme: str, dtype: torch.dtype
) -> Tensors:
    """Return the parameters in `names` as the recipe initializes them."""
    normalized = parameter_names(module, NORMALIZED)
    params: Tensors = {}
    for name, template in module.named_parameters():
        if name not in names:
            continue
        value = torch.zeros(template.shape, device=source.device, dtype=dtype)
        if name in normalized and name.endswith("weight"):
            value.normal_(1.0, INIT_STD, generator=source)
        elif name.endswith("weight") and scheme == "he":
            nn.init.kaiming_normal_(value, generator=source)
        elif name.endswith("weight"):
            value.normal_(0.0, INIT_STD, generator=source)
        params[name] = value
    return params


def _own_values(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Tensors:
    """Return copies of a module's own parameters and buffers, floating-point ones in `dtype`."""
    return {
        name: value.detach().to(device, dtype if value.is_floating_point() else value.dtype, copy=True)
        for name, value in (*module.named_parameters(), *module.named_buffers())
    }


def _statistic(name: str, template: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    kind = dtype if template.is_floating_point() else template.dtype
    make = torch.ones if name.endswith("running_var") else torch.zeros
    return make(template.shape, device=device, dtype=kind)


def _build(build: BuildNet, seed: int, stream: str) -> nn.Module:
    """Return a network built on the CPU with global random numbers of a stream, which are restored."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng.stream_seed(seed, stream))
        return build()


def parameter_names(module: nn.Module, *kinds: type[nn.Module]) -> set[str]:
    """Return the names of the weights and biases of layers of some kinds, without parametrized layers.

    The older `torch.nn.utils.spectral_norm` and `weight_norm` replace the weight by other parameters: a layer
    without a weight of its own is a parametrized one. Further parameters of a subclass are its own.
    """
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, layer in module.named_modules()
        if isinstance(layer, kinds) and not is_parametrized(layer) and layer._parameters.get("weight") is not None
        for name in ("weight", "bias")
        if layer._parameters.get(name) is not None
    }


def _batch_norm_statistics(module: nn.Module) -> set[str]:
    return {
        name
        for prefix, layer in module.named_modules()
        if isinstance(layer, NORMALIZED)
        for name, _ in layer.named_buffers(prefix, recurse=False)
        if name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
    }


def _stack(lanes: Sequence[Tensors]) -> Tensors:
    return {name: torch.stack([lane[name] for lane in lanes]) for name in lanes[0]}


def lay_out(value: Tensor, *, lanes: int) -> Tensor:
    """Return a convolution's weights [lanes, out, in, k, k] laid out as its images are, channels innermost.

    Other tensors are unchanged, and so are several lanes on a GPU, whose grouped convolutions were not measured.
    """
    if value.dim() != 5 or (lanes > 1 and value.device.type != "cpu"):
        return value
    return value.movedim(2, -1).contiguous().movedim(-1, 2)


def dropouts(module: nn.Module) -> list[tuple[str, Dropout]]:
    """Return the dropout layers that need masks, by name, in the order of definition."""
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, Dropout) and layer.p > 0]
