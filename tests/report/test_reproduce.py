"""The reproduction commands ask for the reported runs and evaluations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.made_runs import build, build_many, make_scores, make_spec, protocol
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core.numbers import exact_rates
from gan_bench.core.parsing import parse_rates, parse_seeds
from gan_bench.core.records import StoredRun
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.report.reproduce import commands, seed_text

RATES = [(2e-4, 2e-4), (10**-3.5, 10**-3.5), (10**-3.5, 1e-4), (0.1 + 0.2, 1.23456789e-5)]


def asked(runs: list[StoredRun]) -> set[str]:
    """Return the ids of the runs that the commands ask for, by their rates and seeds."""
    found = set()
    for line in commands(runs):
        rates, seeds = (re.search(rf"--{option} (\S+)", line) for option in ("lrs", "seeds"))
        assert rates
        assert seeds
        for lr_g, lr_d in parse_rates(rates[1]):
            for seed in parse_seeds(seeds[1]):
                values = runs[0].spec.model_dump() | {"lr_g": lr_g, "lr_d": lr_d, "seed": seed}
                found.add(TrainingSpec(**values).run_id)
    return found


def test_commands_ask_for_exactly_these_runs(tmp_path: Path) -> None:
    lines = commands(build_many(tmp_path, pictures=False))
    assert len(lines) == 1
    for part in (
        "--models dcgan28,vanilla --losses bce --penalties none",
        "--seeds 0-2 --lrs 1e-4,2e-4",
        "--epochs 25",
        "--metrics fid,is,kid,prc,modes --extractors mnist-cnn",
        "--eval-samples 10000 --eval-draws 1 --reference-split test --batch-norm running --eval-every 5",
        "--set width=1.0",
    ):
        assert part in lines[0]
    assert seed_text({7, 0, 1, 2}) == "0-2,7"


@pytest.mark.parametrize("rates", RATES)
def test_a_printed_rate_is_exact(tmp_path: Path, rates: tuple[float, float]) -> None:
    run = build(tmp_path, make_spec(lr_g=rates[0], lr_d=rates[1]), pictures=False)
    assert asked([run]) == {run.record.run_id}


def test_rates_that_differ_in_late_digits_are_both_printed(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(lr=rate), pictures=False) for rate in (2e-4, 2.0000001e-4)]
    assert asked(runs) == {run.record.run_id for run in runs}


@given(st.floats(1e-12, 9.99), st.floats(1e-12, 9.99))
def test_every_printed_rate_parses_exactly(lr_g: float, lr_d: float) -> None:
    assert parse_rates(exact_rates(lr_g, lr_d)) == ((lr_g, lr_d),)


def test_short_rates_are_printed_short() -> None:
    assert exact_rates(2e-4, 2e-4) == "2e-4"
    assert exact_rates(4e-4, 1e-4) == "4e-4:1e-4"


def test_rates_are_sorted_as_numbers(tmp_path: Path) -> None:
    (line,) = commands(build_many(tmp_path, ["vanilla"], lrs=(1e-3, 2e-4, 5e-5), pictures=False))
    assert "--lrs 5e-5,2e-4,1e-3 " in line


def test_penalties_need_commands_of_their_own(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(penalty=penalty), pictures=False) for penalty in ("none", "r1")]
    assert [re.findall("--penalties ([a-z0-9-]+)", line) for line in commands(runs)] == [["none"], ["r1"]]


def test_each_protocol_of_the_scores_is_evaluated(tmp_path: Path) -> None:
    spec = make_spec()
    standing = protocol().model_copy(
        update={"batch_norm": "standing over 50 batches of 500", "reference_split": "train"}
    )
    scores = [*make_scores(spec, ["mnist-cnn", "inception"], draws=3)]
    scores += [
        score.model_copy(update={"protocol": standing}) for score in make_scores(spec) if score.metric == "fid"
    ]
    first, second = commands([build(tmp_path, spec, pictures=False, scores=scores)])
    assert "--metrics fid,is,kid,prc,modes --extractors inception,mnist-cnn" in first
    assert "--eval-samples 10000 --eval-draws 3 --reference-split test --batch-norm running \\" in first
    assert "--metrics fid --extractors mnist-cnn" in second
    assert "--eval-draws 1 --reference-split train --batch-norm standing" in second


def test_a_run_without_scores_has_no_evaluation_options(tmp_path: Path) -> None:
    (line,) = commands([build(tmp_path, make_spec(), pictures=False, status="failed")])
    assert "--eval" not in line
    assert "--metrics" not in line


def test_commands_give_the_plugin_files_that_the_runs_were_given(tmp_path: Path) -> None:
    plugged = build(tmp_path, make_spec("shallow"), pictures=False)
    plugged.environment["plugins"] = ["shallow.py", "my loss.py", 7]  # type: ignore[index]
    (line,) = commands([plugged])
    assert "--plugin shallow.py --plugin 'my loss.py'" in line
    assert "--plugin" not in commands([build(tmp_path, make_spec(), pictures=False)])[0]


def test_columns_of_one_metric_are_asked_for_by_its_name(tmp_path: Path) -> None:
    spec = make_spec()
    scores = make_scores(spec)
    more = [
        scores[0].model_copy(update={"metric": name})
        for name in ("density", "coverage", "duplicate_share", "feature_copy_share")
    ]
    (line,) = commands([build(tmp_path, spec, pictures=False, scores=[*scores, *more])])
    assert "--metrics fid,is,kid,prc,modes,dc,copies,feature-copies --extractors" in line
