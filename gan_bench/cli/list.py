"""gan-bench list: registered models, losses, penalties, data sets, metrics, ..., one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from gan_bench.cli import options as shared

Rows = list[dict[str, Any]]


def _models() -> Rows:
    from gan_bench.cli.show import parameter_counts
    from gan_bench.models.base import models

    rows = []
    for name, model in models.items():
        recipe = model.recipe_type()
        g_params, d_params = parameter_counts(model, recipe, model.image_sizes[0])
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


def _losses() -> Rows:
    from gan_bench.losses.base import losses

    return [
        {
            "loss": name,
            "penalty": loss.default_penalty,
            "fitting penalties": "any" if loss.penalties is None else ", ".join(loss.penalties),
            "recipe": _settings_text({**loss.overrides, **loss.recipe_type().model_dump()}),
            "title": loss.title,
            "source": loss.paper,
        }
        for name, loss in losses.items()
    ]


def _penalties() -> Rows:
    from gan_bench.core.training_spec import NO_PENALTY
    from gan_bench.penalties.base import penalties

    none = {"penalty": NO_PENALTY, "recipe": "", "title": "No penalty", "source": ""}
    return [none] + [
        {
            "penalty": name,
            "recipe": _settings_text(penalty.recipe_type().model_dump()),
            "title": penalty.title,
            "source": penalty.paper,
        }
        for name, penalty in penalties.items()
    ]


def _datasets() -> Rows:
    from gan_bench.data.base import datasets, default_root

    return [
        {
            "data set": name,
            "train": data.train_size,
            "test": data.test_size,
            "px": data.native_size,
            "channels": data.channels,
            "classes": data.n_classes,
            "available": "yes" if data.is_available(default_root()) else "no",
            "title": data.title,
            "source": data.source,
        }
        for name, data in datasets.items()
    ]


def _metrics() -> Rows:
    from gan_bench.metrics.base import metrics

    return [
        {
            "metric": name,
            "columns": ", ".join(column.name for column in metric.columns),
            "better": ", ".join(dict.fromkeys(column.better for column in metric.columns)),
            "title": metric.title,
            "source": metric.source,
        }
        for name, metric in metrics.items()
    ]


def _extractors() -> Rows:
    from gan_bench.data.base import datasets
    from gan_bench.metrics.extractors.base import extractors
    from gan_bench.metrics.extractors.lookup import find_extractor

    own = [f"{name}-cnn" for name in datasets if datasets.get(name).n_classes and f"{name}-cnn" not in extractors]
    return [
        {
            "extractor": name,
            "features": source.feature_dim,
            "weights": source.state().partition(":")[0],
            "title": source.title,
            "source": source.source,
        }
        for name, source in ((name, find_extractor(name)) for name in [*extractors, *own])
    ]


def _executors() -> Rows:
    from gan_bench.runner.executors.base import executors

    return [
        {"executor": name, "title": (inspect.getdoc(executors.get(name)) or "").partition("\n")[0]}
        for name in executors
    ]


def _presets() -> Rows:
    from gan_bench.core.presets import PRESET_SUMMARIES, PRESETS

    return [
        {
            "preset": name,
            "sets": "; ".join(f"{key} {_value_text(value)}" for key, value in PRESETS[name].items()),
            "for": summary,
        }
        for name, summary in PRESET_SUMMARIES.items()
    ]


def _settings_text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return _settings_text(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:,}"


KINDS: Mapping[str, Callable[[], Rows]] = {
    "models": _models,
    "losses": _losses,
    "penalties": _penalties,
    "datasets": _datasets,
    "metrics": _metrics,
    "extractors": _extractors,
    "executors": _executors,
    "presets": _presets,
}


@click.command("list")
@click.argument("kind", metavar="KIND", type=click.Choice(list(KINDS)))
@shared.shared_options("plugins")
@shared.json_option
def list_(kind: str, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List everything registered of a KIND, with sizes and sources.

    KIND is models, losses, penalties, datasets, metrics, extractors, executors or presets.
    """
    from gan_bench.cli.ui.tables import print_rows
    from gan_bench.core.registry import load_plugins

    load_plugins(plugins)
    print_rows(KINDS[kind](), as_json=as_json)
