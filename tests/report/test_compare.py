"""compare_runs: verdicts, shared protocols, confounding conditions, and names of configurations."""

from pathlib import Path

import pytest
from helpers.made_runs import build, build_many, make_spec, realistic

from gan_bench.core.errors import InputError
from gan_bench.core.records import StoredRun
from gan_bench.report.compare import choose, compare_runs

WIDE = {"beta1": 0.5, "width": 2.0}
NARROW = {"beta1": 0.5, "width": 0.5}


def test_comparison_per_protocol_with_verdict(tmp_path: Path) -> None:
    runs = realistic(tmp_path)
    a = [run for run in runs if run.spec.model == "dcgan28"]
    b = [run for run in runs if run.spec.model == "vanilla"]
    found = compare_runs(a, b, "dcgan28", "vanilla")
    assert len(found) == 2, "one comparison per protocol"
    assert found[0].difference.gain > 0
    assert "dcgan28 against vanilla: too few seeds (" in found[0].text
    assert "differs by" in found[0].text
    with pytest.raises(InputError, match="not repetitions"):
        compare_runs(runs, b, "all", "vanilla")
    with pytest.raises(InputError, match="no finished run"):
        compare_runs([], b, "nothing", "vanilla")


def test_compare_never_crosses_protocols(tmp_path: Path) -> None:
    a = build_many(tmp_path, ["dcgan28"], lrs=(2e-4,), pictures=False)
    b = build_many(tmp_path, ["vanilla"], lrs=(2e-4,), pictures=False, evaluation={"n_fake": 2000})
    with pytest.raises(InputError, match="no protocol"):
        compare_runs(a, b, "dcgan28", "vanilla")


def trained(folder: Path, model: str, **changes: object) -> list[StoredRun]:
    return build_many(folder, [model], lrs=(2e-4,), pictures=False, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 3}, "They also differ in training length (25 epochs against 3 epochs), which"),
        ({"epochs": None, "steps": 5000}, "training length (25 epochs against 5,000 steps)"),
        (
            {"batch_size": 64, "precision": "bf16"},
            "batch size (128 against 64) and arithmetic (fp32 against bf16)",
        ),
    ],
)
def test_confounding_conditions_are_listed(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    (found,) = compare_runs(trained(tmp_path, "dcgan28"), trained(tmp_path, "vanilla", **changes), "a", "b")
    assert sentence in found.text.splitlines()[-1]


def test_equal_conditions_are_not_mentioned(tmp_path: Path) -> None:
    (found,) = compare_runs(trained(tmp_path, "dcgan28"), trained(tmp_path, "vanilla"), "a", "b")
    assert "differ in" not in found.text


def test_labels_in_the_error_select_configurations(tmp_path: Path) -> None:
    runs = [*trained(tmp_path, "dcgan28", settings=WIDE), *trained(tmp_path, "dcgan28", settings=NARROW)]
    with pytest.raises(InputError) as error:
        compare_runs(choose(runs, "dcgan28"), runs, "dcgan28", "all")
    names = str(error.value).split('"')[1::2]
    assert names == ["dcgan28 (width=0.5)", "dcgan28 (width=2.0)"]
    a, b = (choose(runs, name) for name in names)
    assert [{run.spec.settings["width"] for run in side} for side in (a, b)] == [{0.5}, {2.0}]
    assert len(compare_runs(a, b, *names)) == 1


def test_models_losses_and_penalties_select_runs(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec("dcgan28", loss=loss), pictures=False) for loss in ("bce", "hinge")]
    assert [run.spec.loss for run in choose(runs, "dcgan28/hinge")] == ["hinge"]
    assert [run.spec.loss for run in choose(runs, "dcgan28")] == ["bce"]
    assert len(choose(runs[1:], "dcgan28")) == 1
    regularized = build(tmp_path, make_spec("dcgan28", penalty="r1"), pictures=False)
    assert choose([*runs, regularized], "dcgan28+r1") == [regularized]
    with pytest.raises(InputError, match="did you mean dcgan28"):
        choose(runs, "dcgan29")


def test_two_against_two_are_too_few_seeds_not_equal(tmp_path: Path) -> None:
    sides = (trained(tmp_path, model, seeds=(0, 1)) for model in ("dcgan28", "vanilla"))
    (found,) = compare_runs(*sides, "a", "b")
    assert "a against b: too few seeds (2 each; 4 needed)" in found.text
    assert "mean over 2 trainings; too few for an interval" in found.text
    assert "told apart" not in found.text
    assert "probability" not in found.text


def test_comparison_states_the_spread_over_draws(tmp_path: Path) -> None:
    sides = (trained(tmp_path, model, evaluation={"draws": 4}) for model in ("dcgan28", "vanilla"))
    (found,) = compare_runs(*sides, "a", "b")
    assert (found.a.n, found.b.n) == (3, 3), "draws are no further trainings"
    assert all("over 4 generation draws" in line for line in found.text.splitlines()[1:3])
    once = (trained(tmp_path, model) for model in ("dcgan28", "vanilla"))
    assert "draws" not in compare_runs(*once, "a", "b")[0].text
