"""The contract of models, losses and penalties: each broken rule is named with its fix, before a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.plugin_models import LayerNormPlugin, SpectralPlugin
from helpers.toy_run import toy_spec
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gan_bench.core.errors import InputError
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.losses.base import Loss, losses
from gan_bench.models.base import Model, models
from gan_bench.models.dropout import Dropout
from gan_bench.penalties.base import Penalty, penalties
from gan_bench.training.contract import check_loss, check_networks, check_penalty

pytestmark = pytest.mark.usefixtures("borrowed_registries")
Build = Callable[[], nn.Module]


def spec(**changes: Any) -> TrainingSpec:
    return toy_spec().model_copy(update={"model": "tried", "batch_size": 8, **changes})


def generator(*extra: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(100, 784), *extra, nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))


def discriminator(*extra: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), *extra, nn.Linear(8, 1), nn.Flatten(0))


class Apply(nn.Module):
    """A network followed by a function of its output."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.function = net, function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.net(x))


class Before(Apply):
    """A network behind a function of its input."""

    def forward(self, x: Tensor) -> Any:
        return self.net(self.function(x))


class PlainTensor(nn.Module):
    """A tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(3)


class Counting(Apply):
    """State outside of parameters and buffers."""

    calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.net(x) * self.calls


class InEvaluation(Apply):
    """NaN in evaluation mode only."""

    def forward(self, x: Tensor) -> Any:
        return self.net(x) if self.training else self.net(x) * torch.nan


def try_model(g: Build = generator, d: Build = discriminator) -> None:
    class Tried(Model):
        title = paper = "none"
        image_sizes = (28,)

        def generator(self) -> nn.Module:
            return g()

        def discriminator(self) -> nn.Module:
            return d()

    models.register("tried")(Tried)
    check_networks(spec())


@pytest.mark.parametrize("net", ["G", "D"])
def test_a_conditional_network_that_ignores_its_labels_is_named(net: str) -> None:
    class Ignoring(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, inputs: Tensor, labels: Tensor) -> Any:
            return self.inner(inputs)

    class Using(Ignoring):
        def forward(self, inputs: Tensor, labels: Tensor) -> Any:
            return self.inner(inputs * (1 + labels.view(-1, *[1] * (inputs.dim() - 1))))

    class Tried(Model):
        title = paper = "none"
        image_sizes = (28,)
        conditional = True

        def generator(self) -> nn.Module:
            return (Ignoring if net == "G" else Using)(generator())

        def discriminator(self) -> nn.Module:
            return (Ignoring if net == "D" else Using)(discriminator())

    models.register("tried")(Tried)
    with pytest.raises(InputError, match=f"{net} ignores its labels.*second input"):
        check_networks(spec(n_classes=10))


OWN = torch.Generator()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Apply(generator(), lambda x: x + torch.randn_like(x)),
            r"draws random .* in forward \(Apply\)",
        ),
        (lambda: generator(nn.Dropout(0.5)), r"random numbers in forward \(nn.Dropout 1\).*raise z_dim"),
        (lambda: generator(nn.RReLU()), r"random numbers in forward \(RReLU 1\)"),
        (lambda: generator(Dropout(0.5, (784,))), "Dropout layer, 1, but only D has dropout; .*raise z_dim"),
        (
            lambda: Apply(generator(), lambda x: x * torch.rand(x.shape, generator=OWN)),
            "other values for the same input: it draws random numbers, or keeps values outside",
        ),
        (lambda: Counting(generator(), abs), "other values for the same input"),
        (
            lambda: nn.Linear(100, 784),
            r"returns \[8, 784\] .*\[8, 1, 28, 28\].*Unflatten\(1, \(1, 28, 28\)",
        ),
        (lambda: nn.Linear(100, 32), "take channels and side length from self.shape"),
        (
            lambda: generator()[:1].append(nn.Unflatten(1, (1, 28, 28))),
            r"values up to .*\[-1, 1\]; end it with nn.Tanh",
        ),
        (
            lambda: nn.Sequential(nn.Linear(100, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))),
            r"ends with a sigmoid, but images are in \[-1, 1\]; end it with Tanh",
        ),
        (lambda: Apply(generator(), Tensor.double), "returns torch.float64 for inputs of torch.float32"),
        (lambda: Apply(generator(), lambda x: (x, x)), "returns tuple, but must return one tensor"),
        (lambda: Apply(generator(), lambda x: x / 0 * 0), "values that are not finite; avoid"),
        (lambda: Apply(generator(), Tensor.detach), "has no gradient: .*remove torch.no_grad"),
        (lambda: Apply(generator(), lambda x: (x * 0).sqrt()), "gradients that are not finite"),
        (lambda: Before(generator(), lambda x: x.mul_(2)), "changes its input in place"),
        (lambda: InEvaluation(generator(), abs), "not finite in evaluation mode"),
        (lambda: generator(PlainTensor()), r"the tensor 1.scale as a plain attribute.*register_buffer\('scale'"),
        (lambda: nn.Linear(99, 784), r"fails on inputs \[8, 100\]: RuntimeError: .*mat1 and mat2"),
        (nn.Tanh, "no parameter to train"),
        (lambda: None, "is a NoneType, but must be an nn.Module"),
        (lambda: nn.Linear(0.5, 1), "can't be built: TypeError"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_rule_that_g_breaks_is_named_with_its_fix(build: Build, message: str) -> None:
    with pytest.raises(InputError, match=rf"^model 'tried': G .*{message}"):
        try_model(g=build)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: discriminator()[:-1], r"returns \[8, 1\] .* must return \[8\]: logits \[B\], .*nn.Flatten\(0\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), r"\[8, 3\].*a layer of one output"),
        (
            lambda: discriminator(nn.Dropout(0.3)),
            r"in forward \(nn.Dropout 2\).*gan_bench.plugins.Dropout",
        ),
        (lambda: Apply(discriminator(), torch.sigmoid), "ends with a sigmoid, .*part of the loss"),
        (lambda: nn.Sequential(*discriminator()[:-1], nn.Sigmoid(), nn.Flatten(0)), "ends with a sigmoid"),
        (
            lambda: Before(discriminator(), lambda x: leaky_relu(x, inplace=True)),
            "changes its input in place",
        ),
    ],
)
def test_a_rule_that_d_breaks_is_named_with_its_fix(build: Build, message: str) -> None:
    with pytest.raises(InputError, match=rf"^model 'tried': D .*{message}"):
        try_model(d=build)


@pytest.mark.parametrize("name", ["vanilla", "dcgan28", "dcgan28-tf", "test-spectral", "test-layer-norm"])
@pytest.mark.parametrize("penalty", ["none", "gp", "r1+r2"])
def test_models_and_penalties_that_keep_the_rules_pass(name: str, penalty: str) -> None:
    models.register("test-spectral")(SpectralPlugin)
    models.register("test-layer-norm")(LayerNormPlugin)
    good = spec(model=name, penalty=penalty, settings={"width": 0.25})
    before = torch.get_rng_state()
    check_networks(good)
    check_penalty(good)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("wrap", [nn.utils.spectral_norm, nn.utils.weight_norm], ids=["spectral", "weight"])
def test_the_older_normalizations_are_accepted(wrap: Callable[[nn.Module], nn.Module]) -> None:
    try_model(d=lambda: nn.Sequential(nn.Flatten(), wrap(nn.Linear(784, 1)), nn.Flatten(0)))


@pytest.mark.parametrize("name", losses.names())
def test_losses_that_keep_the_rules_pass(name: str) -> None:
    check_loss(spec(loss=name))


def try_loss(d: Callable[..., Any], g: Callable[..., Any] = lambda real, fake: fake.mean(-1)) -> None:
    class Tried(Loss):
        title = paper = "none"

        def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
            value: Tensor = d(real_logits, fake_logits)
            return value

        def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
            value: Tensor = g(real_logits, fake_logits)
            return value

    losses.register("tried")(Tried)
    check_loss(spec(loss="tried"))


@pytest.mark.parametrize(
    ("d", "message"),
    [
        (
            lambda real, fake: (fake - real).mean(),
            r"\[\] .*must return \[2\]: one value per lane; .*mean\(-1\)",
        ),
        (lambda real, fake: fake - real, r"returns \[2, 8\] .*must return \[2\]"),
        (lambda real, fake: 1.0, r"returns float .*must return \[2\]"),
        (lambda real, fake: (fake - real).mean().expand(len(fake)), "for a lane alone, .*lanes are independent"),
        (lambda real, fake: (fake - fake).mean(-1).log(), "values that are not finite"),
        (lambda real, fake: (fake - fake).mean(-1).sqrt(), "gradients that are not finite"),
        (lambda real, fake: real.mean(-1), "does not depend on fake_logits"),
        (lambda real, fake: (fake > real).float().mean(-1), "has no gradient"),
        (lambda real, fake: (fake * torch.rand(())).mean(-1), "global generator.* a loss draws none"),
    ],
)
def test_a_rule_that_a_loss_breaks_is_named_with_its_fix(d: Callable[..., Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^loss 'tried': discriminator.*{message}"):
        try_loss(d)


def test_a_loss_that_uses_undeclared_real_logits_is_told_how_to_declare_them() -> None:
    with pytest.raises(InputError, match=r"generator: TypeError.*None unless uses_real_in_generator is True"):
        try_loss(lambda real, fake: (fake - real).mean(-1), lambda real, fake: (fake - real).mean(-1))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda d, real, fake, rng: d(real).square().mean(), r"returns \[\] .*must return \[2\]"),
        (lambda d, real, fake, rng: d(real).detach().mean(-1), "has no gradient"),
        (
            lambda d, real, fake, rng: d(torch.rand(real.shape)).mean(-1),
            "global generator.* its own, rng",
        ),
        (
            lambda d, real, fake, rng: d(real.flatten(1)).mean(-1),
            "with D of model 'vanilla' fails: IndexError",
        ),
    ],
)
def test_a_rule_that_a_penalty_breaks_is_named_with_its_fix(function: Callable[..., Any], message: str) -> None:
    class Tried(Penalty):
        title = paper = "none"

        def __call__(self, d: Any, real: Tensor, fake: Tensor, rng: Any) -> Tensor:
            value: Tensor = function(d, real, fake, rng)
            return value

    penalties.register("tried")(Tried)
    with pytest.raises(InputError, match=message):
        check_penalty(spec(model="vanilla", penalty="tried"))


def test_d_without_second_derivatives_is_refused_for_a_gradient_penalty() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient * 2

    try_model(d=lambda: Before(discriminator(), Once.apply))
    with pytest.raises(
        InputError, match="penalty 'gp' with D of model 'tried' has no gradient that reaches D's weights"
    ):
        check_penalty(spec(penalty="gp"))


@pytest.mark.parametrize("error", [OSError("broken"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_a_failure_of_the_machine_is_no_broken_rule(error: Exception) -> None:
    def fail(x: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)):
        try_model(g=lambda: Apply(generator(), fail))
