"""The commands on the page ask for the very runs that it reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import build, build_many, make_spec

from gan_bench.parsing import parse_rates, parse_seeds
from gan_bench.record import StoredRun
from gan_bench.report.reproduce import commands, exact_rates, seed_text
from gan_bench.spec import RunSpec

RATES = [(2e-4, 2e-4), (10**-3.5, 10**-3.5), (10**-3.5, 1e-4), (0.1 + 0.2, 1.23456789e-5)]


def asked(runs: list[StoredRun]) -> set[str]:
    """The ids of the runs that the printed commands ask for, as far as rates and seeds go."""
    found = set()
    for line in commands(runs):
        rates, seeds = (re.search(rf"--{option} (\S+)", line) for option in ("lrs", "seeds"))
        assert rates
        assert seeds
        for lr_g, lr_d in parse_rates(rates[1]):
            for seed in parse_seeds(seeds[1]):
                values = runs[0].spec.model_dump() | {"lr_g": lr_g, "lr_d": lr_d, "seed": seed}
                found.add(RunSpec(**values).run_id)
    return found


def test_commands_ask_for_exactly_these_runs(tmp_path: Path) -> None:
    lines = commands(build_many(tmp_path, pictures=False))
    assert len(lines) == 1
    for part in ("--models dcgan28,vanilla", "--seeds 0-2", "--lrs 1e-4,2e-4", "--epochs 25", "--set width=1.0"):
        assert part in lines[0]
    assert seed_text({7, 0, 1, 2}) == "0-2,7"


@pytest.mark.parametrize("rates", RATES)
def test_a_printed_rate_is_the_run_s_own(tmp_path: Path, rates: tuple[float, float]) -> None:
    run = build(tmp_path, make_spec(lr_g=rates[0], lr_d=rates[1]), pictures=False)
    assert asked([run]) == {run.record.run_id}


def test_rates_that_differ_late_are_both_asked_for(tmp_path: Path) -> None:
    runs = [build(tmp_path, make_spec(lr=rate), pictures=False) for rate in (2e-4, 2.0000001e-4)]
    assert asked(runs) == {run.record.run_id for run in runs}


@given(st.floats(1e-12, 9.99), st.floats(1e-12, 9.99))
def test_every_rate_is_read_back(lr_g: float, lr_d: float) -> None:
    assert parse_rates(exact_rates(lr_g, lr_d)) == ((lr_g, lr_d),)


def test_rates_that_people_type_stay_short() -> None:
    assert exact_rates(2e-4, 2e-4) == "2e-4"
    assert exact_rates(4e-4, 1e-4) == "4e-4:1e-4"
