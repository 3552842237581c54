from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.errors import InputError
from gan_bench.matrix import PRESET_SUMMARIES, PRESETS, Group, Matrix
from gan_bench.registry import NAME
from gan_bench.spec import EvalProtocol, Evaluation, Recipe, RunSpec

NAMES = st.from_regex(NAME, fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=200)
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | LINES
RATES = st.floats(1e-9, 9.9)
SPECS = st.builds(
    RunSpec,
    model=NAMES,
    loss=NAMES,
    dataset=NAMES,
    image_size=st.sampled_from([28, 32, 64]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**31 - 1),
    lr_g=RATES,
    lr_d=RATES,
    batch_size=st.integers(1, 4096),
    epochs=st.none() | st.integers(1, 100),
    steps=st.none() | st.integers(1, 10**6),
    settings=st.dictionaries(KEYS, SCALARS, max_size=4),
    evaluation=st.just(Evaluation()),
)


class WideRecipe(Recipe):
    dropout: float = 0.3


class Shop:
    """A catalogue of two models: `plain` (any size) and `wide` (28 only, one knob more)."""

    def resolve_model(self, name: str, image_size: int | None) -> tuple[str, type[Recipe], int]:
        recipes: dict[str, type[Recipe]] = {"plain": Recipe, "wide": WideRecipe}
        if name not in recipes:
            raise InputError(f"unknown model {name!r}")
        return name, recipes[name], image_size or 28

    def check_loss(self, name: str) -> str:
        return name

    def channels(self, dataset: str) -> int:
        return 1


def expand(**values: object) -> list[RunSpec]:
    return Matrix.model_validate({"models": ("plain",), "epochs": 1, **values}).expand(Shop())


@given(SPECS)
def test_a_spec_survives_json_with_its_hash(spec: RunSpec) -> None:
    back = RunSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert back == spec
    assert back.sha256 == spec.sha256
    assert hash(back) == hash(spec)


@given(SPECS)
def test_a_run_id_is_a_safe_file_name_and_ends_in_the_hash(spec: RunSpec) -> None:
    assert NAME.fullmatch(spec.run_id)
    assert spec.run_id.endswith(f"-{spec.sha256[:10]}")


@given(st.text(), st.text())
def test_even_a_hostile_spec_has_a_safe_run_id(model: str, dataset: str) -> None:
    spec = expand()[0].model_copy(update={"model": model, "dataset": dataset})
    assert NAME.fullmatch(spec.run_id)


@given(SPECS, st.sampled_from(["seed", "lr_g", "lr_d", "batch_size", "settings", "precision", "evaluation"]))
def test_any_change_changes_the_run_id(spec: RunSpec, field: str) -> None:
    changes: dict[str, object] = {
        "seed": spec.seed ^ 1,
        "lr_g": spec.lr_g / 2,
        "lr_d": spec.lr_d / 2,
        "batch_size": spec.batch_size + 1,
        "settings": {**spec.settings, "another": 1},
        "precision": "bf16",
        "evaluation": Evaluation(samples=20),
    }
    other = spec.model_copy(update={field: changes[field]})
    assert other.run_id != spec.run_id
    assert (other.group_key == spec.group_key) == (field in ("seed", "lr_g", "lr_d"))


def test_the_hash_does_not_depend_on_the_process_or_on_the_order_of_settings() -> None:
    spec = expand(settings={"width": 0.5, "z_dim": 64})[0]
    code = "import sys; from gan_bench.spec import RunSpec; print(RunSpec.model_validate_json(sys.argv[1]).run_id)"
    values = spec.model_dump(mode="json")
    values["settings"] = dict(reversed(values["settings"].items()))
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(values)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == spec.run_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1), ("seed", 2**31), ("lr_g", 0), ("lr_g", float("nan")), ("lr_d", 10), ("channels", 2),
        ("batch_size", 0), ("epochs", 0), ("precision", "fp16"), ("settings", {"a": float("nan")}),
        ("settings", {"a": float("inf")}), ("settings", {"a": None}), ("unknown", 1),
    ],
)  # fmt: skip
def test_a_spec_that_can_not_be_is_refused(field: str, value: object) -> None:
    values = {**expand()[0].model_dump(), field: value}
    with pytest.raises(ValueError, match=field):
        RunSpec.model_validate(values)


def test_a_spec_never_changes() -> None:
    with pytest.raises(ValueError, match="frozen"):
        expand()[0].seed = 3  # type: ignore[misc]


def test_the_cross_product_is_expanded_once_each_in_order() -> None:
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


def test_settings_reach_the_models_that_have_them() -> None:
    plain, wide = expand(models=("plain", "wide"), settings={"dropout": 0.1, "width": 2})
    assert "dropout" not in plain.settings
    assert wide.settings["dropout"] == 0.1
    assert plain.settings["width"] == wide.settings["width"] == 2.0
    assert not set(plain.settings) & {"loss", "lr_g", "lr_d", "batch_size", "epochs", "steps"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"drpout": 0.1}, "unknown recipe value 'drpout': did you mean dropout"),
        ({"lr_g": 1e-3}, "--set lr_g .* option of its own, --lrs"),
        ({"batch_size": 3}, "--set batch_size .* --batch-size"),
        ({"width": 100.0}, "--set for wide: width=100.0: input should be less than or equal to 16"),
        ({"dropout": "nan"}, "--set for wide: dropout='nan': input should be a finite number"),
    ],
)
def test_settings_that_can_not_be(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        expand(models=("wide",), settings=settings)


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(InputError, match="--epochs and --steps were both given"):
        expand(steps=3)
    (spec,) = Matrix(models=("plain",), steps=7).expand(Shop())
    assert (spec.epochs, spec.steps) == (None, 7)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_only_what_the_user_did_not(name: str) -> None:
    plain = Matrix(models=("plain",)).with_preset(name)
    for key, value in PRESETS[name].items():
        assert getattr(plain, key) == value
    mine = Matrix(models=("plain",), seeds=(7,), steps=5, eval_samples=99, settings={"width": 3.0, "z_dim": 8})
    both = mine.with_preset(name)
    assert (both.seeds, both.epochs, both.steps, both.eval_samples) == ((7,), None, 5, 99)
    assert both.settings == {"width": 3.0, "z_dim": 8}
    Matrix.model_validate(plain.model_dump())
    assert name in PRESET_SUMMARIES


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean quick"):
        Matrix(models=("plain",)).with_preset("quik")


def test_protocols_that_differ_in_anything_have_ids_that_differ() -> None:
    base = EvalProtocol(
        dataset="mnist", dataset_sha256="0", reference_split="test", n_real=10, n_fake=10, extractor="cnn",
        extractor_sha256="1", resize="none", seed=0, torch_fidelity_version="0.4.0",
    )  # fmt: skip
    assert EvalProtocol.model_validate(base.model_dump()).protocol_id == base.protocol_id
    for field, value in base.model_dump().items():
        other = base.model_copy(update={field: value + 1 if isinstance(value, int) else value + "x"})
        assert other.protocol_id != base.protocol_id, field


def test_a_group_names_its_lanes() -> None:
    specs = expand(seeds=(3, 4))
    assert Group(tuple(specs)).run_ids == (specs[0].run_id, specs[1].run_id)


def test_layer_one_needs_no_torch() -> None:
    rooms = "gan_bench.parsing, gan_bench.record, gan_bench.store.store, gan_bench.execution.local"
    code = f"import sys; import {rooms}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
