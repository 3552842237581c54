"""gan-bench compare: two models, or two results folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gan_bench.record import StoredRun


@click.command(short_help="Two models, or two results folders: which is better, how sure.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a protocol.")
def compare(a: str, b: str, folder: Path, as_json: bool) -> None:
    """Compare A with B: difference, interval, probability, plain words.

    A and B are models of DIR (results/local), or two results folders that hold one model each. A model that was
    trained with several settings is named as the report does: "dcgan28 (width=0.5)". Each side stands at its best
    learning rate, and only under the protocols that both were scored with.
    """
    from gan_bench.cli.tables import print_json
    from gan_bench.report.compare import compare_runs

    found = compare_runs(_side(a, folder), _side(b, folder), a, b)
    for each in found:
        if as_json:
            print_json(dataclasses.asdict(each))
        else:
            click.echo(f"{each.text}\n")


def _side(name: str, folder: Path) -> Sequence[StoredRun]:
    """Return the runs of a results folder, or those of a model in `folder`."""
    from gan_bench.report.compare import choose
    from gan_bench.store.store import Store

    def runs_of(place: Path) -> list[StoredRun]:
        return Store.open(place, create=False, notify=lambda text: click.echo(text, err=True)).runs()

    if Path(name).is_dir():
        return runs_of(Path(name))
    return choose(runs_of(folder), name)
