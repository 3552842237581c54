"""Training specs: identity, run ids, labels, and the number of steps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from helpers.toy_catalogue import expand
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.registry import NAME
from gan_bench.core.training_spec import OWN_OPTIONS, Recipe, TrainingSpec

NAMES = st.from_regex(NAME, fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=200)
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | LINES
RATES = st.floats(1e-9, 9.9)
SPECS = st.builds(
    TrainingSpec,
    model=NAMES,
    loss=NAMES,
    penalty=NAMES,
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
)


@given(SPECS)
def test_a_spec_read_from_json_is_equal_with_an_equal_hash(spec: TrainingSpec) -> None:
    back = TrainingSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert back == spec
    assert back.sha256 == spec.sha256
    assert hash(back) == hash(spec)


@given(SPECS)
def test_a_run_id_is_a_safe_file_name_and_ends_in_the_hash(spec: TrainingSpec) -> None:
    assert NAME.fullmatch(spec.run_id)
    assert spec.run_id.endswith(f"-{spec.sha256[:10]}")


@given(st.text(), st.text())
def test_the_run_id_of_invalid_names_is_a_safe_file_name(model: str, dataset: str) -> None:
    spec = expand()[0].model_copy(update={"model": model, "dataset": dataset})
    assert NAME.fullmatch(spec.run_id)


@given(SPECS, st.sampled_from(sorted(TrainingSpec.model_fields)))
def test_a_change_of_any_field_changes_the_run_id(spec: TrainingSpec, field: str) -> None:
    changes: dict[str, object] = {
        "model": spec.model + "2",
        "loss": spec.loss + "2",
        "penalty": spec.penalty + "2",
        "dataset": spec.dataset + "2",
        "dataset_sha256": "cd" * 32,
        "image_size": spec.image_size + 1,
        "channels": 4 - spec.channels,
        "n_classes": spec.n_classes + 1,
        "seed": spec.seed ^ 1,
        "lr_g": spec.lr_g / 2,
        "lr_d": spec.lr_d / 2,
        "batch_size": spec.batch_size + 1,
        "epochs": (spec.epochs or 0) + 1,
        "steps": (spec.steps or 0) + 1,
        "settings": {**spec.settings, "another": 1},
        "precision": "bf16",
    }
    other = spec.model_copy(update={field: changes[field]})
    assert other.run_id != spec.run_id
    assert (other.group_key == spec.group_key) == (field in ("seed", "lr_g", "lr_d"))


def test_the_run_id_does_not_depend_on_the_process_or_the_order_of_settings() -> None:
    spec = expand(settings={"width": 0.5, "z_dim": 64})[0]
    code = (
        "import sys; from gan_bench.core.training_spec import TrainingSpec; "
        "print(TrainingSpec.model_validate_json(sys.argv[1]).run_id)"
    )
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
        ("settings", {"a": float("inf")}), ("settings", {"a": None}), ("unknown", 1), ("penalty", "A B"),
        ("evaluation", {}),
    ],
)  # fmt: skip
def test_an_invalid_field_is_refused(field: str, value: object) -> None:
    values = {**expand()[0].model_dump(), field: value}
    with pytest.raises(ValueError, match=field):
        TrainingSpec.model_validate(values)


def test_a_spec_is_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        expand()[0].seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("loss", "penalty", "label"),
    [
        ("bce", "none", "plain"), ("hinge", "none", "plain/hinge"), ("bce", "r1", "plain+r1"),
        ("wasserstein", "gp", "plain/wasserstein+gp"),
    ],
)  # fmt: skip
def test_a_label_and_a_run_id_name_loss_and_penalty(loss: str, penalty: str, label: str) -> None:
    (spec,) = expand(losses=(loss,), penalties=(penalty,))
    assert spec.label == label
    in_slug = "" if penalty == "none" else f"-{penalty}"
    assert spec.run_id.startswith(f"plain-{loss}{in_slug}-auto28-lr")


@pytest.mark.parametrize(
    ("length", "d_steps", "steps"),
    [({"epochs": 3}, 1, 30), ({"epochs": 3}, 2, 15), ({"epochs": 3}, 3, 9), ({"steps": 7}, 5, 7)],
)
def test_an_epoch_is_one_pass_over_the_images_with_d_steps_batches_per_step(
    length: dict[str, int], d_steps: int, steps: int
) -> None:
    (spec,) = expand(**{"epochs": None, **length}, batch_size=100, settings={"d_steps": d_steps})
    assert spec.total_steps(1099) == steps


def test_own_options_are_fields_of_recipe_and_spec() -> None:
    assert set(OWN_OPTIONS) <= Recipe.model_fields.keys() & TrainingSpec.model_fields.keys()


@pytest.mark.parametrize("field", ["lr_g", "beta1", "batch_size", "d_steps", "width"])
@pytest.mark.parametrize("value", [True, False])
def test_a_recipe_takes_no_booleans_for_numbers(field: str, value: bool) -> None:
    with pytest.raises(ValueError, match="true and false are not numbers"):
        Recipe(**{field: value})
