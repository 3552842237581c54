"""Contract of every registered model, and resolution of names and aliases."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from gan_bench.core.errors import InputError
from gan_bench.core.training_spec import OWN_OPTIONS
from gan_bench.models.base import ImageShape, Model, models, resolve_model
from gan_bench.models.dropout import Dropout


def built(name: str, channels: int = 1, size: int | None = None) -> Model:
    model = models.get(name)
    shape = ImageShape(channels, size or model.image_sizes[0])
    return model(shape, model.recipe_type(width=0.125, z_dim=10), N_CLASSES if model.conditional else 0)


def given_labels(model: Model, count: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """What G and D take besides their first input."""
    labels = (torch.arange(count) % N_CLASSES,) if model.conditional else ()
    return labels, labels if model.class_weight is None else ()


def set_masks(d: nn.Module, batch: int) -> None:
    for layer in d.modules():
        if isinstance(layer, Dropout):
            layer.mask = torch.ones(batch, *layer.features)


N_CLASSES = 3
CASES = [(name, size, channels) for name in models for size in models.get(name).image_sizes for channels in (1, 3)]


@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_shapes_range_and_finite_gradients(name, size, channels):
    torch.manual_seed(0)
    model = built(name, channels, size)
    g, d = model.generator(), model.discriminator()
    set_masks(d, 4)
    g_labels, d_labels = given_labels(model, 4)
    images = g(torch.randn(4, 10), *g_labels)
    assert images.shape == (4, channels, size, size)
    assert images.abs().max() <= 1
    logits = d(images, *d_labels)
    assert logits.shape == ((4,) if model.class_weight is None else (4, 1 + N_CLASSES))
    logits.sum().backward()
    for parameter in (*g.parameters(), *d.parameters()):
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [name for name in models if models.get(name).conditional])
def test_conditional_networks_use_their_labels(name):
    torch.manual_seed(0)
    model = built(name)
    g, d = model.generator(), model.discriminator()
    set_masks(d, 4)
    noise, first, second = torch.randn(4, 10), torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 0])
    images = g(noise, first)
    assert not torch.allclose(images, g(noise, second))
    if model.class_weight is None:
        assert not torch.allclose(d(images, first), d(images, second))


@pytest.mark.parametrize("name", models.names())
def test_second_gradients_are_finite(name):
    """Gradients of a gradient penalty reach D's weights."""
    torch.manual_seed(0)
    model = built(name)
    d, size = model.discriminator(), model.image_sizes[0]
    set_masks(d, 4)
    images = torch.rand(4, 1, size, size, requires_grad=True)
    outputs = d(images, *given_labels(model, 4)[1])
    (gradients,) = torch.autograd.grad(outputs.sum(), images, create_graph=True)
    (gradients.flatten(1).norm(dim=1) - 1).square().sum().backward()
    found = [parameter.grad for parameter in d.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in found)
    assert sum(gradient.abs().sum() for gradient in found) > 0


@pytest.mark.parametrize("name", models.names())
def test_forward_draws_no_random_numbers(name):
    """All random numbers are inputs: the state of the global generator is unchanged."""
    model = built(name)
    g, d = model.generator(), model.discriminator()
    set_masks(d, 2)
    before = torch.get_rng_state()
    g_labels, d_labels = given_labels(model, 2)
    d(g(torch.zeros(2, 10), *g_labels), *d_labels)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", models.names())
def test_layers_before_batch_norm_have_no_bias(name):
    model = built(name)
    for net in (model.generator(), model.discriminator()):
        layers = [layer for layer in net.modules() if not isinstance(layer, (nn.Sequential, nn.Unflatten))]
        for layer, following in itertools.pairwise(layers):
            if isinstance(following, nn.modules.batchnorm._BatchNorm):
                assert layer.bias is None


@pytest.mark.parametrize("name", models.names())
def test_recipe_has_every_value(name):
    recipe = models.get(name).recipe_type()
    assert (recipe.epochs is None) != (recipe.steps is None)
    assert {"z_dim", "width", "beta1", *OWN_OPTIONS} <= set(type(recipe).model_fields)
    assert models.get(name).title
    assert models.get(name).paper


@pytest.mark.parametrize("name", models.names())
def test_width_scales_the_number_of_parameters(name):
    def count(width: float) -> int:
        model = models.get(name)
        nets = model(ImageShape(1, model.image_sizes[0]), model.recipe_type(width=width), N_CLASSES)
        return sum(p.numel() for net in (nets.generator(), nets.discriminator()) for p in net.parameters())

    assert count(0.25) < count(0.5) < count(1.0)


def test_dcgan64_has_the_papers_channels():
    """Layer shapes of DCGAN-64 as in the paper: 4x4x1024 ... 128, image; 64 ... 512, logit."""
    with torch.device("meta"):
        model = models.get("dcgan64")(ImageShape(1, 64), models.get("dcgan64").recipe_type())
        g = [tuple(layer.weight.shape) for layer in model.generator() if isinstance(layer, nn.ConvTranspose2d)]
        d = [tuple(layer.weight.shape) for layer in model.discriminator() if isinstance(layer, nn.Conv2d)]
    assert g == [(1024, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 1, 4, 4)]
    assert d == [(64, 1, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (1, 512, 4, 4)]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("dcgan", None, ("dcgan28", 28)),
        ("dcgan", 28, ("dcgan28", 28)),
        ("dcgan", 32, ("dcgan32", 32)),
        ("dcgan", 64, ("dcgan64", 64)),
        ("dcgan64", None, ("dcgan64", 64)),
        ("vanilla", None, ("vanilla", 28)),
        ("vanilla", 64, ("vanilla", 64)),
    ],
)
def test_names_and_aliases(name, size, expected):
    own, _, chosen = resolve_model(name, size)
    assert (own, chosen) == expected


def test_unavailable_image_size_is_an_error():
    with pytest.raises(InputError, match=r"'dcgan28' generates images of 28 pixels, not 64: .*dcgan64"):
        resolve_model("dcgan28", 64)


def test_unknown_name_suggests_the_closest():
    with pytest.raises(InputError, match=r"unknown model 'vanila': did you mean vanilla"):
        resolve_model("vanila", None)


def test_alias_without_the_size_names_the_available_ones():
    with pytest.raises(
        InputError, match="'dcgan' is not available at --image-size 50: choose 28, 32, 48, 64, 128"
    ):
        resolve_model("dcgan", 50)
