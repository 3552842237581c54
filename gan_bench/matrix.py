"""A Matrix expands to RunSpecs, and RunSpecs are packed into groups that one program trains. No torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pydantic import Field

from gan_bench.errors import InputError, unknown
from gan_bench.spec import (
    OWN_OPTIONS,
    Count,
    Evaluation,
    Frozen,
    Rate,
    Rates,
    Recipe,
    RunSpec,
    Samples,
    Scalar,
    Seed,
    validated,
)


class Catalogue(Protocol):
    """What expansion must know of the registries, so that this file needs no torch."""

    def resolve_model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        """Return a model's own name, its recipe class and the image size it will make."""

    def check_loss(self, name: str) -> str:
        """Return the name of a registered loss."""

    def channels(self, dataset: str) -> int:
        """Return how many channels a data set's images have."""


class Matrix(Frozen):
    """The cross product that a user asks for. None means: the preset's value, else the recipe's."""

    models: tuple[str, ...] = Field(min_length=1)
    losses: tuple[str, ...] | None = None
    dataset: str = "auto"
    image_size: Literal[28, 32, 64] | None = None
    seeds: tuple[Seed, ...] | None = None
    lrs: tuple[tuple[Rate, Rate], ...] | None = None
    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count | None = None
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    metrics: tuple[str, ...] | None = None
    extractors: tuple[str, ...] | None = None
    eval_samples: Samples | None = None
    eval_every: Count | None = None
    settings: dict[str, Scalar] = Field(default_factory=dict)

    def with_preset(self, name: str) -> Matrix:
        """Return the matrix with a preset's values wherever the user set none."""
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        preset = dict(PRESETS[name])
        if self.epochs is not None or self.steps is not None:
            preset.pop("epochs", None)
            preset.pop("steps", None)
        settings = {**preset.pop("settings", {}), **self.settings}
        missing = {key: value for key, value in preset.items() if getattr(self, key) is None}
        return self.model_copy(update={**missing, "settings": settings})

    def expand(self, catalogue: Catalogue) -> list[RunSpec]:
        """Return every run of the cross product once, in the order asked for.

        Raises InputError for unknown names, a setting that no chosen model has, or a size that a model
        does not make.
        """
        if self.epochs is not None and self.steps is not None:
            raise InputError("--epochs and --steps were both given: give one of them")
        chosen = [catalogue.resolve_model(name, self.image_size) for name in self.models]
        open_keys = set().union(*(recipe.model_fields for _, recipe, _ in chosen)) - set(OWN_OPTIONS)
        for key in self.settings:
            if key in OWN_OPTIONS:
                raise InputError(f"--set {key} was asked: it has an option of its own, {_option_of(key)}")
            if key not in open_keys:
                raise unknown("recipe value", key, open_keys)
        specs: dict[str, RunSpec] = {}
        for (name, recipe_type, size), loss, rates, seed in itertools.product(
            chosen, self.losses or (None,), self.lrs or (None,), self.seeds or (0,)
        ):
            spec = self._spec(catalogue, name, recipe_type, size, loss, rates, seed)
            specs.setdefault(spec.sha256, spec)
        return list(specs.values())

    def _spec(
        self,
        catalogue: Catalogue,
        name: str,
        recipe_type: type[Recipe],
        size: int,
        loss: str | None,
        rates: Rates | None,
        seed: int,
    ) -> RunSpec:
        own = {key: value for key, value in self.settings.items() if key in recipe_type.model_fields}
        recipe = validated(recipe_type, own, f"--set for {name}")
        values = recipe.model_dump()
        lr_g, lr_d = rates or (recipe.lr_g, recipe.lr_d)
        explicit_length = self.epochs is not None or self.steps is not None
        wanted = {
            "metrics": self.metrics,
            "extractors": self.extractors,
            "samples": self.eval_samples,
            "every": self.eval_every,
        }
        return RunSpec(
            model=name,
            loss=catalogue.check_loss(loss or recipe.loss),
            dataset=self.dataset,
            image_size=size,
            channels=catalogue.channels(self.dataset),
            seed=seed,
            lr_g=lr_g,
            lr_d=lr_d,
            batch_size=self.batch_size or recipe.batch_size,
            epochs=self.epochs if explicit_length else recipe.epochs,
            steps=self.steps if explicit_length else recipe.steps,
            precision="fp32" if self.precision == "auto" else self.precision,
            settings={key: value for key, value in values.items() if key not in OWN_OPTIONS},
            evaluation=Evaluation(**{key: value for key, value in wanted.items() if value is not None}),
        )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"seeds": (0,), "steps": 24, "batch_size": 32, "eval_samples": 320, "settings": {"width": 0.25}},
    "quick": {"seeds": (0,), "steps": 3000, "batch_size": 64, "eval_samples": 2000, "settings": {"width": 0.5}},
    "standard": {"seeds": (0, 1, 2), "epochs": 25, "eval_samples": 10_000},
    "paper": {"seeds": (0,), "eval_samples": 10_000},
}
PRESET_SUMMARIES: Mapping[str, str] = {
    "smoke": "a few steps of narrow nets: proves that everything works, says nothing about quality",
    "quick": "a first look: one seed, 3,000 steps of half-width nets; the default without a GPU",
    "standard": "three seeds, 25 epochs, 10,000 samples; the default with a GPU",
    "paper": "each model's published recipe, one seed, 10,000 samples",
}


def _option_of(key: str) -> str:
    return {"loss": "--losses", "lr_g": "--lrs", "lr_d": "--lrs"}.get(key, "--" + key.replace("_", "-"))


@dataclass(frozen=True)
class Group:
    """The runs that one program trains: one or more lanes that differ only in seed and learning rates."""

    specs: tuple[RunSpec, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The lanes' run ids, in order."""
        return tuple(spec.run_id for spec in self.specs)


def one_of_each(groups: Sequence[Group]) -> frozenset[str]:
    """Return the id of the first run of each program: groups that differ in seeds and rates only share one."""
    return frozenset({group.specs[0].group_key: group.run_ids[0] for group in reversed(groups)}.values())


Lanes: TypeAlias = int | Mapping[str, int]
"""How many runs a program trains together: of every group key alike, or of each its own."""


def group_runs(specs: Iterable[RunSpec], lanes: Lanes) -> list[Group]:
    """Pack runs that differ only in seed and learning rates into groups of at most `lanes`.

    Groups come in the order in which their first run was asked for; within one, lanes of equal rates are
    neighbours (the optimiser updates them together).
    """
    alike: dict[str, list[RunSpec]] = {}
    for spec in specs:
        alike.setdefault(spec.group_key, []).append(spec)
    groups = []
    for key, members in alike.items():
        most = lanes if isinstance(lanes, int) else lanes.get(key, 1)
        if most > 1:
            members = sorted(members, key=lambda spec: (spec.lr_g, spec.lr_d, spec.seed))
        groups += [Group(tuple(members[start : start + most])) for start in range(0, len(members), most)]
    return groups
