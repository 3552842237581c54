"""gan-bench show: a model's layers, shapes, FLOPs, recipe and paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli import options as shared
from gan_bench.core.option_fields import MatrixFields
from gan_bench.core.parsing import parse_settings

if TYPE_CHECKING:
    from torch import nn

    from gan_bench.core.training_spec import Recipe, TrainingSpec
    from gan_bench.models.base import Model


@click.command()
@click.argument("model", metavar="MODEL")
@shared.shared_options("image_size", of=MatrixFields)
@click.option(
    "--channels",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="Image channels: grey or RGB.",
)
@click.option(
    "--batch-size",
    type=shared.field_type(MatrixFields, "batch_size"),
    metavar="N",
    help="For the FLOPs of a step; the recipe's by default.",
)
@shared.set_option
@shared.shared_options("plugins")
@shared.json_option
def show(
    model: str,
    image_size: int | None,
    channels: str,
    batch_size: int | None,
    settings: tuple[str, ...],
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show MODEL: layers, shapes, parameters, FLOPs of a step, recipe, paper.

    With --json: one object per layer, then one for the model.
    """
    from gan_bench.cli.ui.output import echo
    from gan_bench.cli.ui.tables import print_rows
    from gan_bench.core.matrix import Matrix
    from gan_bench.core.registry import load_plugins
    from gan_bench.models.base import models
    from gan_bench.runner.catalogue import Registries
    from gan_bench.training.flops import step_flops

    load_plugins(plugins)
    matrix = Matrix(
        models=(model,),
        dataset="synthetic" if channels == "1" else "synthetic-rgb",  # of ten classes
        image_size=image_size,
        settings=parse_settings(settings),
        batch_size=batch_size,
    )
    spec = matrix.expand(Registries())[0]
    kind = models.get(spec.model)
    if not as_json:
        echo(f"{spec.model}: {kind.title} ({kind.paper})\n{' '.join((kind.__doc__ or '').split())}")
    for title, rows in layer_rows(spec).items():
        print_rows(rows, as_json=as_json, title=title)
    about = _about(spec, step_flops(spec))
    if as_json:
        print_rows([about], as_json=True)
    else:
        for key, value in about.items():
            echo(f"{key:<16}{value}")


def _about(spec: TrainingSpec, flops: int | None) -> dict[str, Any]:
    length = f"{spec.epochs} epochs" if spec.epochs else f"{spec.steps:,} steps"
    return {
        "loss": spec.loss,
        "penalty": spec.penalty,
        "learning rates": f"G {spec.lr_g:g}, D {spec.lr_d:g} (Adam)",
        "batch size": spec.batch_size,
        "length": length,
        **spec.settings,
        "step": f"{flops / 1e9:,.2f} GFLOP (D and G, 2 per multiply-add)" if flops else "FLOPs unknown",
    }


def layer_rows(spec: TrainingSpec) -> dict[str, list[dict[str, Any]]]:
    """Return each network's layers with output shapes and parameters, by the network's title."""
    import torch

    from gan_bench.models.base import build_model

    model = build_model(spec)
    with torch.device("meta"):
        g, d = model.generator(), model.discriminator()
        noise = torch.empty(2, model.recipe.z_dim)
        images = torch.empty(2, spec.channels, spec.image_size, spec.image_size)
        labels = (torch.zeros(2, dtype=torch.int64),) if model.conditional else ()
    return {
        f"Generator, {_count(g):,} parameters": _layers(g, noise, *labels),
        f"Discriminator, {_count(d):,} parameters": _layers(d, images, *labels[: model.class_weight is None]),
    }


def _layers(net: nn.Module, *inputs: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def add_row(layer: nn.Module, _: Any, output: Any) -> None:
        name, _, details = repr(layer).partition("(")
        shape = "x".join(map(str, output.shape[1:])) or "1"
        rows.append(
            {
                "layer": name,
                "details": details.removesuffix(")"),
                "output": shape,
                "parameters": _count(layer) or None,
            }
        )

    handles = [layer.register_forward_hook(add_row) for layer in net.modules() if not list(layer.children())]
    net.eval()(*inputs)
    for handle in handles:
        handle.remove()
    return rows


def parameter_counts(model: type[Model], recipe: Recipe, size: int) -> tuple[int, int]:
    """Return the numbers of parameters of both networks, for grey images and, if conditional, ten classes."""
    import torch

    from gan_bench.models.base import ImageShape

    with torch.device("meta"):
        built = model(ImageShape(1, size), recipe, 10 if model.conditional else 0)
        return _count(built.generator()), _count(built.discriminator())


def _count(net: nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())
