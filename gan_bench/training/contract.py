"""The contract of models, losses and penalties, tried on a few images; a message is the rule and its fix."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from gan_bench.core.errors import InputError
from gan_bench.core.failures import is_out_of_memory
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.losses.base import build_loss
from gan_bench.models.base import Model, build_model
from gan_bench.models.dropout import Dropout
from gan_bench.penalties.base import build_penalty
from gan_bench.training.rng import LaneRng, latent_noise, make_rng
from gan_bench.training.state import dropouts
from gan_bench.training.step_noise import PenaltyNoise

BATCH = 8
LANES = 2
LARGER = 100.0
"""Factor of G's weights for its range: an image is in [-1, 1] whatever training does to the weights."""
CPU = torch.device("cpu")
TORCH = str(Path(torch.__file__).parent)
RESHAPES = ("View", "UnsafeView", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Unflatten", "Select")


class NotFiniteError(InputError):
    """Values or gradients are not finite, so that a training will probably diverge."""


def check_networks(spec: TrainingSpec) -> None:
    """Raise InputError for the first rule that the model of a spec breaks.

    Both networks are called forward and backward on the CPU, in float32, on at most 8 images.
    """
    model, batch = build_model(spec), min(BATCH, spec.batch_size)
    g, d = _networks(spec.model, model)
    for name, layer in g.module.named_modules():
        if isinstance(layer, Dropout) and layer.p > 0:
            raise g.broken(f"has a Dropout layer, {name}, but only D has dropout; {G_NOISE}")
    noise = latent_noise(model.recipe.noise, (batch, model.recipe.z_dim), make_rng(0, "noise", CPU), torch.float32)
    image = (model.shape.channels, model.shape.size, model.shape.size)
    images = g.checked(noise, (batch, *image), "images [B, C, H, W]", "Tanh")
    _check_range(g, images)
    if model.class_weight is None:
        logits = d.checked(images.detach(), (batch,), "logits [B], one number for each image", "")
    else:
        shape = (batch, 1 + model.n_classes)
        logits = d.checked(images.detach(), shape, "logits [B, 1 + n_classes]: real or fake, then the classes", "")
    d.check_gradients(logits)
    g.check_gradients(d(images))
    g.check_evaluation(noise)
    g.check_labels(noise)
    d.check_labels(images.detach())
    with torch.no_grad():
        for parameter in g.module.parameters():
            parameter.mul_(LARGER)
        _check_range(g, g(noise), " with larger weights, as training may reach")


def check_loss(spec: TrainingSpec) -> None:
    """Raise InputError for the first rule that the loss of a spec breaks, on logits [2, 8]."""
    loss, name = build_loss(spec), f"loss {spec.loss!r}"
    source = make_rng(0, "loss", CPU)
    real, fake = (torch.randn(LANES, BATCH, generator=source).requires_grad_() for _ in range(2))
    shown = real if loss.uses_real_in_generator else None
    for half, inputs in (("discriminator", (real, fake)), ("generator", (shown, fake))):
        own = f"{name}: {half}"
        hint = "" if inputs[0] is not None else "; real_logits is None unless uses_real_in_generator is True"

        def call(lanes: int, half: str = half, inputs: Any = inputs, own: str = own, hint: str = hint) -> Any:
            given = [None if logits is None else logits[:lanes] for logits in inputs]
            return _called(own, hint, getattr(loss, half), *given)

        value = _check_values(own, call, f"logits [{LANES}, {BATCH}]")
        if not _gradients(value, [fake], retain=True):
            raise InputError(f"{own} does not depend on fake_logits, but both networks learn from them")
        if not all(found.isfinite().all() for found in _gradients(value, [real, fake])):
            raise NotFiniteError(f"{own} has gradients that are not finite; {STABLE}")


def check_penalty(spec: TrainingSpec) -> None:
    """Raise InputError for the first rule that the penalty of a spec breaks with the D of the spec's model."""
    penalty = build_penalty(spec)
    if penalty is None:
        return
    model = build_model(spec)
    _, d = _networks(spec.model, model)
    name = f"penalty {spec.penalty!r} with D of model {spec.model!r}"
    shape = (LANES, min(BATCH, spec.batch_size), model.shape.channels, model.shape.size, model.shape.size)
    source = make_rng(0, "penalty", CPU)
    real, fake = (torch.rand(shape, generator=source) * 2 - 1 for _ in range(2))
    buffers = d.buffers()

    def each_lane(images: Tensor) -> Tensor:
        d.set_masks(images.shape[1])
        outputs = torch.stack([d.module(own, *d.labels(len(own))) for own in images])
        return outputs if model.class_weight is None else outputs[..., 0]

    def call(lanes: int) -> Any:
        d.restore(buffers)
        rngs = [LaneRng(seed, CPU) for seed in range(lanes)]
        noise = PenaltyNoise(rngs, dropouts(d.module), torch.float32, torch.float32)
        return _called(f"{name} fails", "", penalty, each_lane, real[:lanes], fake[:lanes], noise)

    value = _check_values(name, call, "images of two lanes")
    gradients = _called(f"{name} fails backward", "", _gradients, value, d.trained())
    if not gradients:
        raise InputError(
            f"{name} has no gradient that reaches D's weights; compute gradients with create_graph=True "
            "(see gan_bench.plugins.input_gradients), and D with operations that have second derivatives"
        )
    if not all(gradient.isfinite().all() for gradient in gradients):
        raise NotFiniteError(f"{name} has gradients that are not finite; {STABLE}")


STABLE = "avoid log(0), 0/0 and sqrt(0): use softplus, or add a small constant under a root"
G_NOISE = "all randomness of G is its input: raise z_dim, and use a part of the noise for it"
D_NOISE = "use gan_bench.plugins.Dropout, whose mask the trainer draws for each run"


def _networks(name: str, model: Model) -> tuple[_Network, _Network]:
    n_classes = model.n_classes if model.conditional else 0
    d_classes = n_classes if model.class_weight is None else 0
    return (
        _Network(name, "G", model.generator, n_classes),
        _Network(name, "D", model.discriminator, d_classes),
    )


class _Network:
    """One network of a model in training mode, with messages that name it. It takes labels if it has classes."""

    def __init__(self, model: str, net: str, build: Callable[[], Any], n_classes: int = 0) -> None:
        self.name, self.net, self.n_classes = f"model {model!r}: {net}", net, n_classes
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.module: nn.Module = _called(f"{self.name} can't be built", "", build)
        if not isinstance(self.module, nn.Module):
            raise self.broken(f"is a {type(self.module).__name__}, but must be an nn.Module; return one")
        for where, layer in self.module.named_modules():
            for name, value in vars(layer).items():
                replaced = f"{name}_orig" in layer._parameters or f"{name}_v" in layer._parameters
                if isinstance(value, Tensor) and not replaced:  # not by the older spectral_norm or weight_norm
                    path = f"{where}.{name}".lstrip(".")
                    raise self.broken(
                        f"has the tensor {path} as a plain attribute, but tensors are parameters or buffers, "
                        f"which are moved, stacked and stored; use self.register_buffer({name!r}, ...)"
                    )

    def __call__(self, inputs: Tensor) -> Tensor:
        self.set_masks(len(inputs))
        given, labels = f"inputs {list(inputs.shape)}", self.labels(len(inputs))
        if labels:
            given += f" and labels {list(labels[0].shape)}"
        outputs: Tensor = _called(f"{self.name} fails on {given}", "", self.module, inputs, *labels)
        return outputs

    def labels(self, batch: int, shift: int = 0) -> tuple[Tensor, ...]:
        """Return labels int64 [batch] as the network's second input; nothing if it takes none."""
        return (torch.arange(shift, shift + batch) % self.n_classes,) if self.n_classes else ()

    def broken(self, rule: str) -> InputError:
        """Return the error for a broken rule."""
        return InputError(f"{self.name} {rule}")

    def set_masks(self, batch: int) -> None:
        """Set the masks of dropout layers to those of a probability of 0."""
        for _, layer in dropouts(self.module):
            layer.mask = torch.ones(batch, *layer.features)

    def buffers(self) -> dict[str, Tensor]:
        """Return copies of all buffers."""
        return {name: value.clone() for name, value in self.module.named_buffers()}

    def restore(self, buffers: dict[str, Tensor]) -> None:
        """Set the buffers to the values that `buffers` returned."""
        with torch.no_grad():
            for name, value in self.module.named_buffers():
                if name in buffers and value.shape == buffers[name].shape:
                    value.copy_(buffers[name])

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters that are trained."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def checked(self, inputs: Tensor, shape: tuple[int, ...], what: str, last: str) -> Tensor:
        """Return the outputs for `inputs`, which keep every rule that can be seen in one call."""
        if not self.trained():
            raise self.broken("has no parameter to train; add a layer with weights")
        given, buffers = inputs.clone(), self.buffers()
        with torch.no_grad(), _RandomDraws(self):
            first = self(given)
        if not torch.equal(given, inputs):
            raise self.broken("changes its input in place, which other computations use; work on a copy")
        self._check_output(first, inputs, shape, what)
        self.restore(buffers)
        outputs = self(inputs.clone())
        if _last_function(outputs).startswith("Sigmoid"):
            fix = f"end it with {last}" if last else "leave it out: the sigmoid is part of the loss"
            rule = "images are in [-1, 1]" if last else "logits are any numbers"
            raise self.broken(f"ends with a sigmoid, but {rule}; {fix}")
        if not outputs.isfinite().all():
            raise NotFiniteError(f"{self.name} returns values that are not finite in its second call; {STABLE}")
        if not torch.allclose(first, outputs, 1e-3, 1e-4):
            raise self.broken(
                "returns other values for the same input: it draws random numbers, or keeps values outside of its "
                f"parameters and buffers; {self._advice()}"
            )
        return outputs

    def check_gradients(self, outputs: Tensor) -> None:
        """Raise InputError where the gradients of the parameters are missing or not finite."""
        found: list[Tensor] = _called(f"{self.name} fails backward", "", _gradients, outputs, self.trained())
        if not found:
            raise self.broken(
                "has no gradient: nothing that it returns depends on its parameters; "
                "remove torch.no_grad(), .detach(), .item() and rounding from forward"
            )
        if not all(gradient.isfinite().all() for gradient in found):
            raise NotFiniteError(f"{self.name} has gradients that are not finite; {STABLE}")

    def check_evaluation(self, inputs: Tensor) -> None:
        """Raise InputError where outputs are not finite in evaluation mode, in which samples are drawn."""
        self.module.eval()
        with torch.no_grad(), _RandomDraws(self):
            outputs = self(inputs)
        self.module.train()
        if not outputs.isfinite().all():
            raise NotFiniteError(f"{self.name} returns values that are not finite in evaluation mode; {STABLE}")

    def check_labels(self, inputs: Tensor) -> None:
        """Raise InputError where outputs do not depend on the labels, which the network takes."""
        if self.n_classes < 2:
            return
        self.set_masks(len(inputs))
        with torch.no_grad():
            outputs = [self.module(inputs, *self.labels(len(inputs), shift)) for shift in (0, 1)]
        if torch.equal(*outputs):
            raise self.broken("ignores its labels: it returns the same for every class; use its second input")

    def _check_output(self, outputs: Any, inputs: Tensor, shape: tuple[int, ...], what: str) -> None:
        if not isinstance(outputs, Tensor):
            raise self.broken(f"returns {type(outputs).__name__}, but must return one tensor, {what}")
        if outputs.shape != shape:
            raise self.broken(
                f"returns {list(outputs.shape)} for inputs {list(inputs.shape)}, but must return {list(shape)}: "
                f"{what}; {_reshape(outputs.shape, shape)}"
            )
        if outputs.dtype != inputs.dtype:
            raise self.broken(
                f"returns {outputs.dtype} for inputs of {inputs.dtype}, but must keep their dtype; "
                "create tensors with dtype=x.dtype, and convert nothing"
            )
        if not outputs.isfinite().all():
            raise NotFiniteError(f"{self.name} returns values that are not finite; {STABLE}")

    def _advice(self) -> str:
        return G_NOISE if self.net == "G" else D_NOISE


class _RandomDraws:
    """Raises InputError, with the layer's name, for a block that drew from PyTorch's global generator."""

    def __init__(self, network: _Network) -> None:
        self.network, self.first = network, ""
        self.handles: list[Any] = []

    def __enter__(self) -> None:
        self.state = torch.get_rng_state()
        for name, layer in self.network.module.named_modules():
            self.handles.append(layer.register_forward_hook(self._hook(name)))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for handle in self.handles:
            handle.remove()
        if error is None and not torch.equal(self.state, torch.get_rng_state()):
            torch.set_rng_state(self.state)
            raise self.network.broken(
                f"draws random numbers in forward{self.first}, but they must not come from PyTorch's global "
                f"generator, which runs share; {self.network._advice()}"
            )
        torch.set_rng_state(self.state)

    def _hook(self, name: str) -> Callable[..., None]:
        def after(layer: nn.Module, inputs: object, outputs: object) -> None:
            if not self.first and not torch.equal(self.state, torch.get_rng_state()):  # the innermost ends first
                drawn = "nn." if isinstance(layer, _DropoutNd) else ""
                self.first = f" ({drawn}{type(layer).__name__}{f' {name}' if name else ''})"

        return after


def _check_range(g: _Network, images: Tensor, when: str = "") -> None:
    largest = float(images.detach().nan_to_num(0.0).abs().max())
    if largest > 1 + 1e-4:
        raise g.broken(
            f"returns values up to {largest:.3g}{when}, but images are in [-1, 1]; end it with nn.Tanh()"
        )


def _check_values(name: str, call: Callable[[int], Any], given: str) -> Tensor:
    """Return `call(LANES)`, which is one finite value per lane that depends on this lane only."""
    state = torch.get_rng_state()
    alone = call(1)
    value = call(LANES)
    if not isinstance(value, Tensor) or value.shape != (LANES,):
        found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputError(
            f"{name} returns {found} for {given}, but must return [{LANES}]: one value per lane; "
            "average over the last axis only, with .mean(-1)"
        )
    if not torch.equal(state, torch.get_rng_state()):
        torch.set_rng_state(state)
        raise InputError(
            f"{name} draws random numbers from PyTorch's global generator, which runs share; "
            "a penalty gets its own, rng, and a loss draws none"
        )
    if not (value.isfinite().all() and alone.isfinite().all()):
        raise NotFiniteError(f"{name} returns values that are not finite; {STABLE}")
    if not value.requires_grad:
        raise InputError(
            f"{name} has no gradient; remove torch.no_grad(), .detach(), .item() and comparisons from it"
        )
    if not torch.allclose(alone, value[:1], 1e-3, 1e-5):
        raise InputError(
            f"{name} returns {alone[0].item():.6g} for a lane alone, and {value[0].item():.6g} for it beside "
            "another one, but lanes are independent runs; combine values along the last axis only"
        )
    return value


def _gradients(values: Tensor, inputs: Sequence[Tensor], *, retain: bool = False) -> list[Tensor]:
    """Return the gradients of the sum of `values` for those of `inputs` that it depends on."""
    if not values.requires_grad:
        return []
    found = torch.autograd.grad(values.sum(), inputs, retain_graph=retain, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def _called(what: str, hint: str, function: Callable[..., Any], *given: Any) -> Any:
    """Return function(*given); an exception that it raises is an InputError, unless the machine is at fault."""
    try:
        return function(*given)
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        message = str(error).strip().partition("\n")[0]
        if is_out_of_memory(f"{type(error).__name__}: {message}"):
            raise
        raise InputError(f"{what}: {type(error).__name__}: {message}{_location(error)}{hint}") from error


def _location(error: Exception) -> str:
    """Return the last line of user code that an exception passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((TORCH, str(Path(__file__).parents[1])))]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def _reshape(found: torch.Size, expected: tuple[int, ...]) -> str:
    """Return how to get the expected shape."""
    if len(expected) == 1:
        return (
            "end it with nn.Flatten(0)"
            if found.numel() == expected[0]
            else "end it with a layer of one output and nn.Flatten(0)"
        )
    if found.numel() == torch.Size(expected).numel():
        return f"end it with nn.Unflatten(1, {expected[1:]})"
    return "take channels and side length from self.shape"


def _last_function(outputs: Tensor) -> str:
    """Return the name of the function that computed `outputs`, without reshapes."""
    node: Any = outputs.grad_fn
    while node is not None and node.name().startswith(RESHAPES):
        node = node.next_functions[0][0]
    return "" if node is None else str(node.name())
