"""gan-bench compare: two models, or two results folders."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gan_bench.cli import options as shared
from gan_bench.core.errors import InputError

if TYPE_CHECKING:
    from gan_bench.core.records import StoredRun


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@shared.results_argument
@click.option("--fail-if-worse", is_flag=True, help="Exit with 1 if A is clearly worse than B in a protocol.")
@shared.json_option
def compare_(a: str, b: str, folder: Path, fail_if_worse: bool, as_json: bool) -> None:
    """Compare A with B: difference, interval, probability of improvement, in a sentence per protocol.

    A and B are models of DIR (results/local), or two results folders that hold one model each. A model that was
    trained with several settings is named as in the report: "dcgan28 (width=0.5)". Each side is represented by its
    best learning rate, and only protocols that both were scored with are compared.

    As a regression check, A being the new results: gan-bench compare new old --fail-if-worse
    """
    from gan_bench.cli.ui.output import echo, print_json
    from gan_bench.report.compare import compare_runs

    comparisons = compare_runs(_side(a, folder), _side(b, folder), a, b)
    for comparison in comparisons:
        if as_json:
            print_json(dataclasses.asdict(comparison))
        else:
            echo(f"{comparison.text}\n")
    if fail_if_worse and any(comparison.a_is_worse for comparison in comparisons):
        sys.exit(1)


def _side(name: str, folder: Path) -> Sequence[StoredRun]:
    """Return the runs of a results folder, or those of a model in `folder`."""
    from gan_bench.cli.ui.output import print_notice
    from gan_bench.core.parsing import parse_path
    from gan_bench.report.compare import choose
    from gan_bench.store.store import Store

    if (other := parse_path(name, "A or B")).is_dir():
        return Store.open(other, create=False, on_event=print_notice).runs()
    runs = Store.open(folder, create=False, on_event=print_notice).runs()
    try:
        return choose(runs, name)
    except InputError:
        from gan_bench.models.base import members  # loads torch, for names that no run has

        family = members(name)
        if not (chosen := [run for run in runs if run.spec.model in family]):
            raise
        return chosen
