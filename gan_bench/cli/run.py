"""gan-bench run: train, evaluate, time and store a matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli import options as shared
from gan_bench.cli.matrix_file import read_matrix
from gan_bench.core.errors import InputError
from gan_bench.core.option_fields import MatrixFields
from gan_bench.core.parsing import parse_settings

if TYPE_CHECKING:
    from gan_bench.core.matrix import Matrix
    from gan_bench.core.records import RunRecord, StoredRun
    from gan_bench.core.training_spec import TrainingSpec

LENGTH = ("epochs", "steps", "batch_size")
TRAINING = ("models", "losses", "penalties", "dataset", "image_size", "seeds", "lrs", *LENGTH, "precision")


@click.command()
@shared.shared_options(*TRAINING, of=MatrixFields)
@shared.set_option
@click.option(
    "--matrix",
    type=shared.UserPath(),
    metavar="FILE",
    callback=read_matrix,
    is_eager=True,
    help="A TOML file with these options as keys; the command line wins.",
)
@shared.evaluation_options
@shared.run_options
@click.option("--dry-run", is_flag=True, help="Show the plan and its cost; start nothing.")
@shared.runs_option
@shared.json_option
def run(**given: Any) -> None:
    """Train, evaluate, time and store models x losses x penalties x learning rates x seeds, and report.

    The same command again finishes what is missing and does nothing twice.

    \b
    gan-bench run --models vanilla,dcgan
    gan-bench run --models dcgan --image-size 64 --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25
    """
    from gan_bench.cli.ui.output import echo
    from gan_bench.cli.ui.plan_table import plan_summary, print_plan
    from gan_bench.cli.ui.progress_display import ProgressDisplay

    matrix, options = _matrix(given), shared.make_options(given)
    if options.detach and options.fresh:
        raise InputError("--detach --fresh: workers keep results that there are; type one of the two")
    dry_run, as_json, out = given["dry_run"], given["as_json"], options.out
    if dry_run:
        options = options.model_copy(update={"offline": True, "write_cache": False})  # a question changes nothing
    runs: list[StoredRun] = []
    records: list[RunRecord] = []
    with ProgressDisplay(as_json) as display:
        from gan_bench.runner import plan

        planned = plan.plan(matrix, options, display)
        display.expect(plan_summary(planned), planned.specs, finished=len(planned.finished))

        from gan_bench import api
        from gan_bench.report.dataframes import primary_scores

        if not dry_run:
            for run in stored_runs(out, planned.finished):
                display.show_earlier(run.record, primary_scores(run))
            if options.detach:
                api.keep_plan(planned, display)
            else:
                records = api.execute(planned, display)
                runs = stored_runs(out, planned.specs)
        if runs:
            display.note("writing the report")
            api.write_report(out)
    if dry_run:
        print_plan(planned, options, as_json)
    elif options.detach:
        if not as_json:
            echo(f"Planned. Train it with gan-bench worker {out}, on any machine that shares the folder.")
    else:
        conclude(runs, records, out, as_json, list(display.protocols), all_runs=given["all_runs"])


def stored_runs(out: Path, specs: Sequence[TrainingSpec]) -> list[StoredRun]:
    """Return the runs of a results folder that belong to `specs` and have an outcome."""
    from gan_bench.core.events import ignore_events
    from gan_bench.store.store import Store

    wanted = {spec.run_id for spec in specs}
    if not wanted:
        return []
    runs = Store.open(out, create=False, on_event=ignore_events).runs()
    return [run for run in runs if run.record.run_id in wanted]


def conclude(
    runs: Sequence[StoredRun],
    records: Sequence[RunRecord],
    out: Path,
    as_json: bool,
    protocols: Sequence[str] = (),
    *,
    all_runs: bool = False,
) -> None:
    """Print the results; exit with 1 if one of `records` is of a run whose training or evaluation failed.

    With `--fresh`, they are of the new trainings, and `runs` still has the earlier result of one that failed.
    """
    from gan_bench.cli.ui.output import one_line, print_error_line
    from gan_bench.cli.ui.tables import print_runs

    if runs and not as_json:
        print_runs(runs, out / "report" / "index.html", protocols, all_runs=all_runs, failures=False)
    failed = [record for record in records if record.failure]
    for record in failed:
        print_error_line(f"failed: {record.run_id}: {one_line(record.failure)}")
    if failed:
        sys.exit(1)


def _matrix(given: Mapping[str, Any]) -> Matrix:
    from gan_bench.core.matrix import Matrix

    if not given["models"]:
        raise InputError("no models: type --models and a comma list, such as --models vanilla,dcgan")
    values = shared.field_values(MatrixFields, given)
    return Matrix(**{**values, "settings": parse_settings(given["settings"])})
