"""gan-bench report: tables, plots and the page of a results folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Write the tables, plots and page of a results folder.")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("results/local"))
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as JSON, one row a line.")
def report(folder: Path, as_json: bool) -> None:
    """Write tables, plots and the page of DIR (results/local) into DIR/report."""
    from gan_bench import benchmark
    from gan_bench.cli.tables import print_rows, print_runs, tell
    from gan_bench.store.store import Store

    paths = benchmark.write_report(folder, tell)
    if as_json:
        import pandas as pd

        rows = pd.read_csv(paths.leaderboard_csv).to_dict(orient="records")
        print_rows([{str(key): value for key, value in row.items()} for row in rows], as_json=True)
    else:
        print_runs(Store.open(folder, create=False, notify=lambda text: None).runs(), paths.page)
