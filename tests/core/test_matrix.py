"""Expansion of a matrix to training specs, and packing of specs into groups."""

from __future__ import annotations

import pytest
from helpers.toy_catalogue import ToyCatalogue, expand

from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.matrix import Group, Matrix, first_of_each_program, group_runs


def test_the_cross_product_is_expanded_in_order_without_duplicates() -> None:
    specs = expand(
        models=("plain", "wide", "plain"), losses=("bce", "hinge"), seeds=(0, 1), lrs=((1e-4, 1e-4), (2e-4, 1e-4))
    )
    assert len(specs) == len({spec.run_id for spec in specs}) == 16
    assert [(s.model, s.loss, s.lr_g, s.seed) for s in specs[:5]] == [
        ("plain", "bce", 1e-4, 0),
        ("plain", "bce", 1e-4, 1),
        ("plain", "bce", 2e-4, 0),
        ("plain", "bce", 2e-4, 1),
        ("plain", "hinge", 1e-4, 0),
    ]


def test_penalties_are_a_dimension_between_losses_and_rates() -> None:
    specs = expand(
        losses=("bce", "hinge"), penalties=("none", "r1"), lrs=((1e-4, 1e-4), (2e-4, 1e-4)), seeds=(0, 1)
    )
    assert len(specs) == len({spec.run_id for spec in specs}) == 16
    assert [(s.loss, s.penalty, s.lr_g, s.seed) for s in specs[:5]] == [
        ("bce", "none", 1e-4, 0),
        ("bce", "none", 1e-4, 1),
        ("bce", "none", 2e-4, 0),
        ("bce", "none", 2e-4, 1),
        ("bce", "r1", 1e-4, 0),
    ]


def test_loss_and_penalty_default_to_the_recipe_and_the_loss() -> None:
    plain, wide = expand(models=("plain", "wide"))
    assert (plain.loss, plain.penalty) == ("bce", "none")
    assert (wide.loss, wide.penalty) == ("hinge", "none")
    (wasserstein,) = expand(losses=("wasserstein",))
    assert wasserstein.penalty == "gp"
    (explicit,) = expand(losses=("wasserstein",), penalties=("gp",))
    assert explicit == wasserstein


def test_a_penalty_that_does_not_fit_the_loss_is_refused() -> None:
    with pytest.raises(InputError, match="--penalties r1 with loss wasserstein"):
        expand(losses=("bce", "wasserstein"), penalties=("gp", "r1"))


def test_values_published_with_a_loss_replace_the_models_and_users_values_win() -> None:
    bce, wasserstein = expand(losses=("bce", "wasserstein"))
    assert (bce.settings["d_steps"], bce.settings["beta1"], bce.lr_d) == (1, 0.5, 2e-4)
    assert (wasserstein.settings["d_steps"], wasserstein.settings["beta1"]) == (5, 0.0)
    assert (wasserstein.lr_g, wasserstein.lr_d) == (2e-4, 1e-4)
    (mine,) = expand(losses=("wasserstein",), settings={"d_steps": 2}, lrs=((3e-4, 3e-4),))
    assert (mine.settings["d_steps"], mine.settings["beta1"], mine.lr_d) == (2, 0.0, 3e-4)


def test_recipe_values_of_losses_and_penalties_are_settings() -> None:
    bce, margin = expand(losses=("bce", "margin"), penalties=("r1",), settings={"margin": 2, "r1_weight": 5})
    assert "margin" not in bce.settings
    assert bce.settings["r1_weight"] == 5.0
    assert margin.settings["margin"] == 2.0
    (default,) = expand(losses=("margin",), penalties=("gp",))
    assert (default.settings["margin"], default.settings["gp_weight"]) == (1.0, 10.0)
    with pytest.raises(InputError, match="unknown recipe value 'r1_weight'"):
        expand(losses=("margin",), settings={"r1_weight": 5})
    with pytest.raises(InputError, match="--set for margin and penalty none: margin='x': input should be a valid"):
        expand(losses=("margin",), settings={"margin": "x"})


def test_settings_apply_to_the_models_that_have_them() -> None:
    plain, wide = expand(models=("plain", "wide"), settings={"dropout": 0.1, "width": 2})
    assert "dropout" not in plain.settings
    assert wide.settings["dropout"] == 0.1
    assert plain.settings["width"] == wide.settings["width"] == 2.0
    assert not set(plain.settings) & {"loss", "lr_g", "lr_d", "batch_size", "epochs", "steps"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drpout": 0.1}, "unknown recipe value 'drpout': did you mean dropout"),
        ({"lr_g": 1e-3}, "--set lr_g: lr_g has its own option, --lrs"),
        ({"batch_size": 3}, "--set batch_size: .* --batch-size"),
        ({"width": 100.0}, "--set for wide: width=100.0: input should be less than or equal to 16"),
        ({"dropout": "nan"}, "--set for wide: dropout='nan': input should be a finite number"),
    ],
)
def test_invalid_settings_are_input_errors(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(models=("wide",), settings=settings)


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(InputError, match="--epochs and --steps were both given"):
        expand(steps=3)
    (spec,) = Matrix(models=("plain",), steps=7).expand(ToyCatalogue())
    assert (spec.epochs, spec.steps) == (None, 7)


def test_channels_are_those_of_the_data_set() -> None:
    assert [expand(dataset=name)[0].channels for name in ("mnist", "colors")] == [1, 3]


def test_precision_auto_is_fp32() -> None:
    assert [expand(precision=name)[0].precision for name in ("auto", "fp32", "bf16")] == ["fp32", "fp32", "bf16"]


def test_evaluation_is_not_part_of_a_training() -> None:
    plain = expand(seeds=(0, 1))
    other = expand(
        seeds=(0, 1), metrics=("kid",), extractors=("inception",), eval_samples=99, eval_draws=3,
        reference_split="train", batch_norm="standing",
    )  # fmt: skip
    assert [spec.run_id for spec in plain] == [spec.run_id for spec in other]


def test_a_matrix_returns_the_evaluation_it_asks_for() -> None:
    assert Matrix(models=("plain",)).evaluation() == EvaluationSpec()
    matrix = Matrix(
        models=("plain",), metrics=("kid",), extractors=("inception",), eval_samples=99, eval_draws=3,
        reference_split="train", batch_norm="standing",
    )  # fmt: skip
    assert matrix.evaluation() == EvaluationSpec(
        metrics=("kid",), extractors=("inception",), samples=99, draws=3, reference_split="train",
        batch_norm="standing",
    )  # fmt: skip
    assert Matrix(models=("plain",)).with_preset("quick").evaluation().samples == 2000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", ()), ("seeds", (-1,)), ("lrs", ((0, 1e-4),)), ("image_size", 0), ("eval_draws", 0),
        ("eval_samples", 15), ("reference_split", "validation"), ("batch_norm", "none"), ("precision", "fp16"),
        ("models", "plain"),
    ],
)  # fmt: skip
def test_an_invalid_matrix_is_an_input_error(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"Matrix: {field}="):
        Matrix(**{"models": ("plain",), field: value})


def test_a_matrix_has_no_other_fields() -> None:
    with pytest.raises(InputError, match=r"unknown field of Matrix 'penalty': did you mean penalties"):
        Matrix(models=("plain",), penalty="r1")  # type: ignore[call-arg]


def test_a_group_names_its_lanes() -> None:
    specs = expand(seeds=(3, 4))
    assert Group(tuple(specs)).run_ids == (specs[0].run_id, specs[1].run_id)


def test_runs_that_differ_in_seed_and_rates_only_are_packed_into_groups() -> None:
    rates = ((1e-4, 1e-4), (2e-4, 2e-4))
    specs = expand(penalties=("none", "r1"), lrs=rates, seeds=(0, 1, 2))
    groups = group_runs(specs, 4)
    assert [len(group.specs) for group in groups] == [4, 2, 4, 2]
    assert all(len({spec.group_key for spec in group.specs}) == 1 for group in groups)
    assert sorted(spec.run_id for group in groups for spec in group.specs) == sorted(s.run_id for s in specs)
    lanes = [(spec.lr_g, spec.seed) for spec in groups[0].specs]
    assert lanes == [(1e-4, 0), (1e-4, 1), (1e-4, 2), (2e-4, 0)], "lanes of equal rates are adjacent"
    assert [group.specs for group in group_runs(specs, 1)] == [(spec,) for spec in specs]


def test_lanes_can_differ_between_programs() -> None:
    specs = expand(penalties=("none", "r1"), seeds=(0, 1, 2))
    counts = {specs[0].group_key: 2}
    assert [len(group.specs) for group in group_runs(specs, counts)] == [2, 1, 1, 1, 1]


def test_the_first_run_of_each_program_is_the_first_that_was_asked_for() -> None:
    specs = expand(penalties=("none", "r1"), seeds=(0, 1, 2))
    firsts = first_of_each_program(group_runs(specs, 2))
    assert firsts == {specs[0].run_id, specs[3].run_id}
