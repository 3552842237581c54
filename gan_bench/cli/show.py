"""gan-bench show: one model in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli.whole import Whole

if TYPE_CHECKING:
    from torch import nn

    from gan_bench.models.model import Model
    from gan_bench.spec import Recipe, RunSpec


@click.command(short_help="One model: layers, shapes, FLOPs, recipe, paper.")
@click.argument("model", metavar="MODEL")
@click.option("--image-size", type=click.Choice(["28", "32", "64"]), help="Only where the model leaves it open.")
@click.option(
    "--channels", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Of its images: grey or RGB."
)
@click.option(
    "--batch-size", type=Whole(1, 10**6), metavar="N", help="For the FLOPs of a step; the recipe's by default."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A recipe value: z_dim, width ...")
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file that adds things.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a layer, then one for the model.")
def show(
    model: str,
    image_size: str | None,
    channels: str,
    batch_size: int | None,
    settings: tuple[str, ...],
    plugin: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show MODEL: layers, shapes, parameters, FLOPs of a step, recipe, paper."""
    from gan_bench.cli.tables import print_rows
    from gan_bench.matrix import Matrix
    from gan_bench.models.model import models
    from gan_bench.parsing import parse_settings
    from gan_bench.planning import Registries
    from gan_bench.registry import load_plugins
    from gan_bench.training.flops import step_flops

    load_plugins(plugin)
    matrix = Matrix(
        models=(model,),
        dataset="synthetic" if channels == "1" else "synthetic-rgb",
        image_size=int(image_size) if image_size else None,
        settings=parse_settings(settings),
        batch_size=batch_size,
    )
    spec = matrix.expand(Registries())[0]
    kind = models.get(spec.model)
    if not as_json:
        click.echo(f"{spec.model}: {kind.title} ({kind.paper})\n{' '.join((kind.__doc__ or '').split())}")
    for title, rows in layer_rows(spec).items():
        print_rows(rows, as_json=as_json, title=title)
    about = _about(spec, step_flops(spec))
    if as_json:
        print_rows([about], as_json=True)
    else:
        for key, value in about.items():
            click.echo(f"{key:<16}{value}")


def _about(spec: RunSpec, flops: int | None) -> dict[str, Any]:
    length = f"{spec.epochs} epochs" if spec.epochs else f"{spec.steps:,} steps"
    return {
        "loss": spec.loss,
        "learning rates": f"G {spec.lr_g:g}, D {spec.lr_d:g} (Adam)",
        "batch size": spec.batch_size,
        "length": length,
        **spec.settings,
        "a step": f"{flops / 1e9:,.2f} GFLOP (D and G, 2 per multiply-add)"
        if flops
        else "arithmetic not countable",
    }


def layer_rows(spec: RunSpec) -> dict[str, list[dict[str, Any]]]:
    """Return each network's layers with output shapes and parameters, by the network's title."""
    import torch

    from gan_bench.models.model import build_model

    model = build_model(spec)
    with torch.device("meta"):
        g, d = model.generator(), model.discriminator()
        noise = torch.empty(2, model.recipe.z_dim)
        images = torch.empty(2, spec.channels, spec.image_size, spec.image_size)
    return {
        f"Generator, {_count(g):,} parameters": _layers(g, noise),
        f"Discriminator, {_count(d):,} parameters": _layers(d, images),
    }


def _layers(net: nn.Module, inputs: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []

    def note(layer: nn.Module, _: Any, output: Any) -> None:
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

    handles = [layer.register_forward_hook(note) for layer in net.modules() if not list(layer.children())]
    net.eval()(inputs)
    for handle in handles:
        handle.remove()
    return rows


def parameter_counts(model: type[Model], recipe: Recipe, size: int) -> tuple[int, int]:
    """Return how many parameters the generator and the discriminator have, for grey images."""
    import torch

    from gan_bench.models.model import ImageShape

    with torch.device("meta"):
        built = model(ImageShape(1, size), recipe)
        return _count(built.generator()), _count(built.discriminator())


def _count(net: nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())
