"""gan-bench list: what there is, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

KINDS = ("models", "losses", "datasets", "metrics", "extractors", "presets")


@click.command("list", short_help="Models, losses, datasets, metrics, extractors or presets.")
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file that adds things.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(kind: str, plugin: tuple[Path, ...], as_json: bool) -> None:
    """List what there is of a KIND, with sizes and sources.

    KIND is models, losses, datasets, metrics, extractors or presets.
    """
    from gan_bench.cli.tables import print_rows
    from gan_bench.registry import load_plugins

    load_plugins(plugin)
    rows = {
        "models": _models,
        "losses": _losses,
        "datasets": _datasets,
        "metrics": _metrics,
        "extractors": _extractors,
        "presets": _presets,
    }[kind]()
    print_rows(rows, as_json=as_json)


def _models() -> list[dict[str, Any]]:
    from gan_bench.cli.show import parameter_counts
    from gan_bench.models.model import models

    rows = []
    for name in models:
        model = models.get(name)
        recipe = model.recipe_type()
        size = model.image_sizes[0]
        g_params, d_params = parameter_counts(model, recipe, size)
        length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.steps:,} steps"
        rows.append(
            {
                "model": name,
                "alias": model.alias or "",
                "px": ", ".join(map(str, model.image_sizes)),
                "G params": g_params,
                "D params": d_params,
                "recipe": f"{recipe.loss}, lr {recipe.lr_g:g}, batch {recipe.batch_size}, {length}",
                "title": model.title,
                "source": model.paper,
            }
        )
    return rows


def _losses() -> list[dict[str, Any]]:
    from gan_bench.losses.loss import losses

    return [{"loss": name, "title": losses.get(name).title, "source": losses.get(name).paper} for name in losses]


def _datasets() -> list[dict[str, Any]]:
    from gan_bench.data.dataset import datasets, default_root

    return [
        {
            "data set": name,
            "train": data.train_size,
            "test": data.test_size,
            "px": data.native_size,
            "channels": data.channels,
            "classes": data.n_classes,
            "at hand": "yes" if data.at_hand(default_root()) else "no",
            "title": data.title,
            "source": data.source,
        }
        for name, data in ((name, datasets.get(name)) for name in datasets)
    ]


def _metrics() -> list[dict[str, Any]]:
    from gan_bench.metrics.metric import metrics

    return [
        {
            "metric": name,
            "columns": ", ".join(column.name for column in metrics.get(name).columns),
            "better": ", ".join(dict.fromkeys(column.better for column in metrics.get(name).columns)),
            "title": metrics.get(name).title,
            "source": metrics.get(name).source,
        }
        for name in metrics
    ]


def _extractors() -> list[dict[str, Any]]:
    from gan_bench.data.dataset import datasets
    from gan_bench.metrics.extractors.extractor import extractors
    from gan_bench.metrics.extractors.find import find_extractor

    own = [f"{name}-cnn" for name in datasets if datasets.get(name).n_classes and f"{name}-cnn" not in extractors]
    return [
        {
            "extractor": name,
            "features": source.feature_dim,
            "at hand": "yes" if source.at_hand() else "no",
            "title": source.title,
            "source": source.source,
        }
        for name, source in ((name, find_extractor(name)) for name in [*extractors, *own])
    ]


def _presets() -> list[dict[str, Any]]:
    from gan_bench.matrix import PRESET_SUMMARIES, PRESETS

    return [
        {"preset": name, "sets": "; ".join(f"{k} {_short(v)}" for k, v in PRESETS[name].items()), "for": summary}
        for name, summary in PRESET_SUMMARIES.items()
    ]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:,}"
