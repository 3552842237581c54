"""gan-bench status: what of a results folder is done, running, failed and left."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run.")
def status(folder: Path, as_json: bool) -> None:
    """Show what is done, running, failed, diverged and left in DIR (results/local)."""
    from gan_bench.cli.console import print_status
    from gan_bench.store.store import Store

    print_status(Store.open(folder, create=False, notify=lambda text: click.echo(text, err=True)), as_json)
