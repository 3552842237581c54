"""gan-bench report: tables, plots and the page of a results folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON, one row a line.")
def report(folder: Path, as_json: bool) -> None:
    """Write tables, plots and the page of DIR (results/local) into DIR/report."""
    from gan_bench import benchmark
    from gan_bench.cli.console import print_leaderboard

    paths = benchmark.write_report(folder, lambda text: click.echo(text, err=True))
    print_leaderboard(paths, as_json)
