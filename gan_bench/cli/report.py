"""gan-bench report: tables, plots and the page of a results folder."""

from __future__ import annotations

from pathlib import Path

import click

from gan_bench.cli import options as shared


@click.command()
@shared.results_argument
@shared.runs_option
@shared.json_option
def report(folder: Path, all_runs: bool, as_json: bool) -> None:
    """Write tables, plots and the page of DIR (results/local) into DIR/report.

    With --json: print the leaderboard, one row a line.
    """
    from gan_bench import api
    from gan_bench.cli.ui.output import print_notice
    from gan_bench.cli.ui.tables import print_rows, print_runs
    from gan_bench.core.events import ignore_events
    from gan_bench.store.store import Store

    paths = api.write_report(folder, print_notice)
    if as_json:
        print_rows(paths.leaderboard, as_json=True)
    else:
        print_runs(Store.open(folder, create=False, on_event=ignore_events).runs(), paths.page, all_runs=all_runs)
