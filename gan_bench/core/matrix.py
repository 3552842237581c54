"""Matrix: the cross product a user asks for; Group: the runs one program trains. No torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pydantic import Field

from gan_bench.core.errors import InputError, unknown
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.frozen import Frozen, Scalar, UserInput, validated_fields
from gan_bench.core.limits import MAX_RUNS
from gan_bench.core.option_fields import MatrixFields, Rates
from gan_bench.core.presets import PRESETS
from gan_bench.core.training_spec import OWN_OPTIONS, Recipe, TrainingSpec


@dataclass(frozen=True)
class RegularizedLoss:
    """A loss with a penalty that fits it, as far as expansion needs to know them."""

    loss: str
    penalty: str
    overrides: Mapping[str, Scalar]
    """Values of the model's recipe that the loss was published with, such as d_steps."""
    recipe_types: tuple[type[Frozen], ...]
    """The loss's and the penalty's own recipe values."""


class Catalogue(Protocol):
    """What expansion needs from the registries, so that this module needs no torch."""

    def model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's registered name, its recipe class and its image size."""

    def loss(self, loss: str, penalty: str | None) -> RegularizedLoss:
        """Return a loss with a penalty, its own default where that is None; raise InputError if they don't fit."""

    def channels(self, dataset: str) -> int:
        """Return how many channels a data set's images have."""

    def n_classes(self, model: str, dataset: str) -> int:
        """Return a data set's number of classes for a conditional model, and 0 for any other.

        Raises InputError for a conditional model and a data set without labels.
        """

    def dataset_sha256(self, dataset: str) -> str:
        """Return the hash of a user's own images; empty for a data set that its name identifies."""


class Matrix(MatrixFields, UserInput):
    """The cross product of trainings, and how they are evaluated. None: the preset's value, else the recipe's."""

    settings: dict[str, Scalar] = Field(default_factory=dict, max_length=200)
    """Recipe values of models, losses and penalties."""

    def with_preset(self, name: str) -> Matrix:
        """Return the matrix with a preset's values wherever the user set none."""
        values, settings = self._preset_values(name)
        return self.model_copy(update={**values, "settings": {**settings, **self.settings}})

    def preset_options(self, name: str) -> str:
        """Return what a preset sets because the user did not, as typed: --steps 3000 --set width=0.5."""
        values, settings = self._preset_values(name)
        typed = [
            f"--{key.replace('_', '-')} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
            for key, value in values.items()
        ]
        return " ".join([*typed, *(f"--set {key}={value}" for key, value in settings.items())])

    def _preset_values(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields and the settings that a preset sets."""
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        preset = dict(PRESETS[name])
        if self.epochs is not None or self.steps is not None:
            preset.pop("epochs", None)
            preset.pop("steps", None)
        settings = {key: value for key, value in preset.pop("settings", {}).items() if key not in self.settings}
        return {key: value for key, value in preset.items() if getattr(self, key) is None}, settings

    def evaluation(self) -> EvaluationSpec:
        """Return the evaluation spec that the matrix asks for."""
        return EvaluationSpec.from_options(dict(self))

    def expand(self, catalogue: Catalogue) -> list[TrainingSpec]:
        """Return every training of the cross product once, in the order asked for.

        Raises InputError for unknown names, a setting that nothing chosen has, a loss and a penalty that don't
        fit, or an image size that a model does not generate.
        """
        if self.epochs is not None and self.steps is not None:
            raise InputError("--epochs and --steps were both given: give one of them")
        self._check_size()
        models = [catalogue.model(name, self.image_size) for name in self.models]
        penalties = self.penalties or (None,)
        losses = {
            (loss, penalty): catalogue.loss(loss, penalty)
            for loss in self.losses
            or dict.fromkeys(recipe.model_fields["loss"].default for _, recipe, _ in models)
            for penalty in penalties
        }
        self._check_settings([recipe for _, recipe, _ in models], list(losses.values()))
        specs: dict[str, TrainingSpec] = {}
        for (name, recipe_type, size), loss, penalty, rates, seed in itertools.product(
            models, self.losses or (None,), penalties, self.lrs or (None,), self.seeds or (0,)
        ):
            chosen = losses[loss or recipe_type.model_fields["loss"].default, penalty]
            spec = self._spec(catalogue, name, recipe_type, size, chosen, rates, seed)
            specs.setdefault(spec.sha256, spec)
        return list(specs.values())

    def _check_size(self) -> None:
        """Raise InputError for more trainings than one command can plan, before any is made."""
        dimensions = {
            "models": self.models,
            "losses": self.losses,
            "penalties": self.penalties,
            "learning rates": self.lrs,
            "seeds": self.seeds,
        }
        counts = {name: len(set(values)) for name, values in dimensions.items() if values}
        runs = math.prod(counts.values())
        if runs > MAX_RUNS:
            product = " x ".join(f"{count:,} {name}" for name, count in counts.items() if count > 1)
            raise InputError(
                f"{product} are {runs:,} runs: a matrix has at most {MAX_RUNS:,}; split it into several commands"
            )

    def _check_settings(self, recipes: Sequence[type[Frozen]], losses: Sequence[RegularizedLoss]) -> None:
        recipes = [*recipes, *(recipe for loss in losses for recipe in loss.recipe_types)]
        open_keys = set().union(*(recipe.model_fields for recipe in recipes)) - set(OWN_OPTIONS)
        for key in self.settings:
            if key in OWN_OPTIONS:
                raise InputError(f"--set {key}: {key} has its own option, {_option_of(key)}")
            if key not in open_keys:
                raise unknown("recipe value", key, open_keys)

    def _spec(
        self,
        catalogue: Catalogue,
        name: str,
        recipe_type: type[Recipe],
        size: int,
        loss: RegularizedLoss,
        rates: Rates | None,
        seed: int,
    ) -> TrainingSpec:
        asked = {**loss.overrides, **self.settings}
        recipe = validated_fields(recipe_type, asked, f"--set for {name}")
        values = recipe.model_dump()
        for kind in loss.recipe_types:
            where = f"--set for {loss.loss} and penalty {loss.penalty}"
            values |= validated_fields(kind, asked, where).model_dump()
        lr_g, lr_d = rates or (recipe.lr_g, recipe.lr_d)
        explicit_length = self.epochs is not None or self.steps is not None
        return TrainingSpec(
            model=name,
            loss=loss.loss,
            penalty=loss.penalty,
            dataset=self.dataset,
            dataset_sha256=catalogue.dataset_sha256(self.dataset),
            image_size=size,
            channels=catalogue.channels(self.dataset),
            n_classes=catalogue.n_classes(name, self.dataset),
            seed=seed,
            lr_g=lr_g,
            lr_d=lr_d,
            batch_size=self.batch_size or recipe.batch_size,
            epochs=self.epochs if explicit_length else recipe.epochs,
            steps=self.steps if explicit_length else recipe.steps,
            precision="fp32" if self.precision == "auto" else self.precision,
            settings={key: value for key, value in values.items() if key not in OWN_OPTIONS},
        )


def _option_of(key: str) -> str:
    return {"loss": "--losses", "lr_g": "--lrs", "lr_d": "--lrs"}.get(key, "--" + key.replace("_", "-"))


@dataclass(frozen=True)
class Group:
    """The runs one program trains: one or more lanes that differ only in seed and learning rates."""

    specs: tuple[TrainingSpec, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The lanes' run ids, in order."""
        return tuple(spec.run_id for spec in self.specs)


LaneCounts: TypeAlias = int | Mapping[str, int]
"""Lanes of a program: one number for all group keys, or one for each."""


def group_runs(specs: Iterable[TrainingSpec], lanes: LaneCounts) -> list[Group]:
    """Pack runs that differ only in seed and learning rates into groups of at most `lanes`.

    Groups are in the order in which their first run was asked for; within one, lanes of equal rates are adjacent,
    so that the optimizer updates them together.
    """
    by_key: dict[str, list[TrainingSpec]] = {}
    for spec in specs:
        by_key.setdefault(spec.group_key, []).append(spec)
    groups = []
    for key, members in by_key.items():
        size = lanes if isinstance(lanes, int) else lanes.get(key, 1)
        if size > 1:
            members = sorted(members, key=lambda spec: (spec.lr_g, spec.lr_d, spec.seed))
        groups += [Group(tuple(members[start : start + size])) for start in range(0, len(members), size)]
    return groups


def first_of_each_program(groups: Sequence[Group]) -> frozenset[str]:
    """Return the id of the first run of each program: groups that differ in seeds and rates only share one."""
    return frozenset({group.specs[0].group_key: group.run_ids[0] for group in reversed(groups)}.values())
