"""Two groups of runs against each other, in words that say what else differs."""

from pathlib import Path

import pytest
from made_runs import build, build_many, make_spec, realistic

from gan_bench.errors import InputError
from gan_bench.record import StoredRun
from gan_bench.report.compare import choose, compare_runs
from gan_bench.spec import Evaluation

WIDE = {"beta1": 0.5, "width": 2.0}
NARROW = {"beta1": 0.5, "width": 0.5}


def test_compare_runs_in_plain_words(tmp_path: Path) -> None:
    runs = realistic(tmp_path)
    a = [run for run in runs if run.spec.model == "dcgan28"]
    b = [run for run in runs if run.spec.model == "vanilla"]
    found = compare_runs(a, b, "dcgan28", "vanilla")
    assert len(found) == 2, "one comparison a protocol"
    assert found[0].difference.gain > 0
    assert "dcgan28 is likely better than vanilla" in found[0].text
    with pytest.raises(InputError, match="not repetitions"):
        compare_runs(runs, b, "all", "vanilla")
    with pytest.raises(InputError, match="no finished run"):
        compare_runs([], b, "nothing", "vanilla")


def test_compare_never_crosses_protocols(tmp_path: Path) -> None:
    a = build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False)
    b = build_many(tmp_path, ["vanilla"], lrs=(2e-4,), pictures=False, evaluation=Evaluation(samples=2000))
    with pytest.raises(InputError, match="no protocol"):
        compare_runs(a, b, "dcgan28", "vanilla")


def trained(folder: Path, model: str, **changes: object) -> list[StoredRun]:
    return build_many(folder, [model], lrs=(2e-4,), pictures=False, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 3}, "They differ in training length (25 epochs against 3 epochs), too"),
        ({"epochs": None, "steps": 5000}, "training length (25 epochs against 5,000 steps)"),
        (
            {"batch_size": 64, "precision": "bf16"},
            "batch size (128 against 64) and arithmetic (fp32 against bf16)",
        ),
    ],
)
def test_unequal_conditions_are_said(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    (found,) = compare_runs(trained(tmp_path, "dcgan28"), trained(tmp_path, "vanilla", **changes), "a", "b")
    assert told in found.text.splitlines()[-1]


def test_equal_conditions_need_no_words(tmp_path: Path) -> None:
    (found,) = compare_runs(trained(tmp_path, "dcgan28"), trained(tmp_path, "vanilla"), "a", "b")
    assert "They differ in" not in found.text


def test_what_the_error_names_can_be_typed(tmp_path: Path) -> None:
    runs = [*trained(tmp_path, "dcgan28", settings=WIDE), *trained(tmp_path, "dcgan28", settings=NARROW)]
    with pytest.raises(InputError) as error:
        compare_runs(choose(runs, "dcgan28"), runs, "dcgan28", "all")
    names = str(error.value).split('"')[1::2]
    assert names == ["dcgan28 (width=0.5)", "dcgan28 (width=2.0)"]
    a, b = (choose(runs, name) for name in names)
    assert [{run.spec.settings["width"] for run in side} for side in (a, b)] == [{0.5}, {2.0}]
    assert len(compare_runs(a, b, *names)) == 1


def test_models_and_losses_are_named_as_ever(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec("dcgan28", loss=loss), pictures=False) for loss in ("bce", "hinge")]
    assert [run.spec.loss for run in choose(runs, "dcgan28/hinge")] == ["hinge"]
    assert [run.spec.loss for run in choose(runs, "dcgan28")] == ["bce"]
    assert len(choose(runs[1:], "dcgan28")) == 1
    with pytest.raises(InputError, match="did you mean dcgan28"):
        choose(runs, "dcgan29")


def test_two_against_two_are_too_few_and_it_says_so(tmp_path: Path) -> None:
    sides = (trained(tmp_path, model, seeds=(0, 1)) for model in ("dcgan28", "vanilla"))
    (found,) = compare_runs(*sides, "a", "b")
    assert "a and b can't be told apart" in found.text
    assert "permutation p = 0.33, and so few trainings can't get below 0.33." in found.text
