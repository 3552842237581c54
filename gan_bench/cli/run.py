"""gan-bench run: train, score, time and store a matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli.matrix_file import read_matrix
from gan_bench.cli.whole import Whole
from gan_bench.errors import InputError

if TYPE_CHECKING:
    from gan_bench.cli.watch import Watch
    from gan_bench.matrix import Matrix
    from gan_bench.planning import Options, Plan
    from gan_bench.record import StoredRun
    from gan_bench.spec import RunSpec

MOST_WORKERS = 1024
COUNT = Whole(1, 10**9)
WORKERS = Whole(1, MOST_WORKERS)


@click.command(short_help="Train, score, time and store a matrix.")
@click.option(
    "--models", "-m", multiple=True, metavar="NAMES", help="Names or aliases, as a comma list: vanilla,dcgan."
)
@click.option("--losses", multiple=True, metavar="NAMES", help="bce, ...; each model's own where none is given.")
@click.option("--dataset", default="auto", show_default=True, help="auto: mnist if it can be had, else digits.")
@click.option("--image-size", type=click.Choice(["28", "32", "64"]), help="Only where a model leaves it open.")
@click.option("--seeds", multiple=True, metavar="LIST", help="Such as 0-2 or 0,7.")
@click.option("--lrs", multiple=True, metavar="LIST", help="Such as 1e-4,2e-4; 4e-4:1e-4 is G's and D's.")
@click.option("--epochs", type=COUNT, metavar="N", help="How long; or --steps.")
@click.option("--steps", type=COUNT, metavar="N", help="How long, in updates of D and G.")
@click.option("--batch-size", type=COUNT, metavar="N", help="Images a step.")
@click.option("--preset", metavar="NAME", help="smoke, quick, standard or paper; sets only what you don't.")
@click.option("--metrics", multiple=True, metavar="NAMES", help="fid,is,kid,prc,modes; all of them by default.")
@click.option(
    "--extractors", multiple=True, metavar="NAMES", help="mnist-cnn,inception; auto: the data set's own."
)
@click.option("--eval-samples", type=Whole(16, 10**6), metavar="N", help="Images drawn for each evaluation.")
@click.option("--eval-every", type=COUNT, metavar="N", help="Evaluate every N epochs, too, and keep the best.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "tf32", "bf16"]),
    default="auto",
    show_default=True,
    help="Arithmetic; auto: tf32 on a GPU, else fp32.",
)
@click.option(
    "--lanes", default="auto", show_default=True, metavar="N", help="Runs trained as one program; auto: measured."
)
@click.option("--jobs", "-j", type=WORKERS, default=1, show_default=True, metavar="N", help="Worker processes.")
@click.option("--executor", default="local", show_default=True, help="Where groups of runs are placed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/local"),
    show_default=True,
    help="Results folder.",
)
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="Folder with MNIST/raw/*.gz (or GAN_BENCH_DATA)."
)
@click.option("--offline", is_flag=True, help="Download nothing.")
@click.option(
    "--matrix",
    type=click.Path(path_type=Path),
    metavar="FILE",
    callback=read_matrix,
    is_eager=True,
    help="A TOML file with these options as keys; the command line wins.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A recipe value: z_dim, width, dropout ..."
)
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file that adds things.")
@click.option("--dry-run", is_flag=True, help="Show the plan and its cost; start nothing.")
@click.option("--fresh", is_flag=True, help="Forget earlier results of these runs.")
@click.option("--fail-fast", is_flag=True, help="Begin nothing new after a run has failed.")
@click.option(
    "--retry-failed/--no-retry-failed", default=True, show_default=True, help="Runs that failed earlier, too."
)
@click.option(
    "--retries",
    type=Whole(0, 100),
    default=0,
    show_default=True,
    metavar="N",
    help="Of a run that fails, at once.",
)
@click.option("--run-timeout", metavar="TIME", help="End a run that takes longer: 90s, 15m, 2h.")
@click.option(
    "--checkpoint-every", default="60s", show_default=True, metavar="TIME", help="What a crash may cost at most."
)
@click.option("--deterministic", is_flag=True, help="On a GPU: sums in a fixed order; slower. CPUs always do.")
@click.option(
    "--profile", is_flag=True, help="Say where a step's time goes, by steps apart from the run's; keep a trace."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def run(**given: Any) -> None:
    """Train, score, time and store models x losses x seeds x learning rates, and report.

    The same command again finishes what is missing and does nothing twice.

    \b
    gan-bench run --models vanilla,dcgan
    gan-bench run --models dcgan --image-size 64 --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25
    """
    from gan_bench.cli.dry_run import print_plan
    from gan_bench.cli.watch import Watch

    matrix, options = _matrix(given), _options(given)
    as_json: bool = given["as_json"]
    with Watch(as_json) as watch:
        from gan_bench import planning  # takes seconds, so the user sees something first

        planned = planning.plan(matrix, options, watch.notice)
        watch.expect(planned)
        runs = [] if given["dry_run"] else _execute(planned, watch)
    if given["dry_run"]:
        print_plan(planned, as_json)
    else:
        _conclude(runs, options.out, as_json)


def _execute(planned: Plan, watch: Watch) -> list[StoredRun]:
    """Run the plan and write the report; return the plan's runs that have an outcome now."""
    from gan_bench import benchmark
    from gan_bench.report.frame import primary_scores

    out = planned.options.out
    for run in _stored(out, planned.finished):
        watch.earlier(run.record, primary_scores(run))
    benchmark.execute(planned, watch)
    runs = _stored(out, planned.specs)
    if runs:
        watch.note("writing the report")
        benchmark.write_report(out)
    return runs


def _stored(out: Path, specs: Sequence[RunSpec]) -> list[StoredRun]:
    from gan_bench.store.store import Store

    wanted = {spec.run_id for spec in specs}
    if not wanted:
        return []
    runs = Store.open(out, create=False, notify=lambda text: None).runs()
    return [run for run in runs if run.record.run_id in wanted]


def _conclude(runs: Sequence[StoredRun], out: Path, as_json: bool) -> None:
    """Print the results; exit with 1 if a run failed."""
    from gan_bench.cli.tables import one_line, print_runs, tell

    if runs and not as_json:
        print_runs(runs, out / "report" / "index.html")
    failed = [run.record for run in runs if run.record.status == "failed"]
    for record in failed:
        tell(f"failed: {record.run_id}: {one_line(record.reason)}")
    if failed:
        sys.exit(1)


def _matrix(given: Mapping[str, Any]) -> Matrix:
    from gan_bench import parsing
    from gan_bench.matrix import Matrix
    from gan_bench.spec import validated

    def names(key: str) -> tuple[str, ...] | None:
        option = f"--{key}"
        return tuple(n for text in given[key] for n in parsing.parse_names(text, option)) or None

    if not given["models"]:
        raise InputError("no models: type --models and a comma list, such as --models vanilla,dcgan")
    values = {
        "models": names("models"),
        "losses": names("losses"),
        "dataset": given["dataset"],
        "image_size": int(given["image_size"]) if given["image_size"] else None,
        "seeds": tuple(s for text in given["seeds"] for s in parsing.parse_seeds(text)) or None,
        "lrs": tuple(r for text in given["lrs"] for r in parsing.parse_rates(text)) or None,
        "metrics": names("metrics"),
        "extractors": names("extractors"),
        "settings": parsing.parse_settings(given["settings"]),
        "precision": given["precision"],
    }
    values |= {key: given[key] for key in ("epochs", "steps", "batch_size", "eval_samples", "eval_every")}
    matrix: Matrix = validated(Matrix, values, "gan-bench run")
    return matrix


def _options(given: Mapping[str, Any]) -> Options:
    from gan_bench import parsing
    from gan_bench.planning import Options

    timeout: str | None = given["run_timeout"]
    lanes: str = given["lanes"]
    if lanes != "auto" and not (lanes.isdecimal() and lanes.isascii() and 0 < int(lanes) <= MOST_WORKERS):
        raise InputError(f"--lanes {lanes!r}: type auto or a whole number from 1 to {MOST_WORKERS:,}")
    return Options(
        out=given["out"],
        preset=given["preset"],
        device=given["device"],
        data_root=given["data_root"],
        offline=given["offline"],
        lanes=None if lanes == "auto" else int(lanes),
        jobs=given["jobs"],
        executor=given["executor"],
        fresh=given["fresh"],
        fail_fast=given["fail_fast"],
        plugins=given["plugin"],
        checkpoint_every=parsing.parse_seconds(given["checkpoint_every"], "--checkpoint-every"),
        run_timeout=parsing.parse_seconds(timeout, "--run-timeout") if timeout is not None else None,
        retries=given["retries"],
        retry_failed=given["retry_failed"],
        deterministic=given["deterministic"],
        profile=given["profile"],
    )
