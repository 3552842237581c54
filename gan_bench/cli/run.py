"""gan-bench run: train, score, time and store a matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan_bench.errors import InputError

if TYPE_CHECKING:
    from gan_bench.benchmark import Options, Plan
    from gan_bench.matrix import Matrix
    from gan_bench.record import RunRecord

NOT_IN_FILES = {"matrix", "dry_run", "json", "help"}


def _read_matrix(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Let a TOML file set the defaults of every option, so that the command line wins."""
    if file is None:
        return None
    import tomllib

    from gan_bench.errors import unknown

    try:
        values = tomllib.loads(file.read_text())
    except OSError as error:
        raise InputError(f"--matrix {file}: it can't be read ({error.strerror}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--matrix {file}: it is no TOML: {error}") from error
    options = {param.name or "": param for param in context.command.params}
    known = {name.replace("settings", "set") for name in options} - NOT_IN_FILES
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        if key.replace("-", "_") not in known:
            raise unknown(f"key in {file.name}", key, {name.replace("_", "-") for name in known})
        name = "settings" if key == "set" else key.replace("-", "_")
        defaults[name] = _as_typed(value, multiple=options[name].multiple)
    context.default_map = {**(context.default_map or {}), **defaults}
    return file


def _as_typed(value: object, *, multiple: bool) -> object:
    """Write a TOML value as a person would type it."""
    if isinstance(value, Mapping):
        return [f"{key}={str(each).lower() if isinstance(each, bool) else each}" for key, each in value.items()]
    if isinstance(value, list):
        items = [str(item) for item in value]
        return items if multiple else ",".join(items)
    if isinstance(value, bool):
        return value
    return [str(value)] if multiple else str(value)


@click.command()
@click.option(
    "--models", "-m", multiple=True, metavar="NAMES", help="Names or aliases, as a comma list: vanilla,dcgan."
)
@click.option("--losses", multiple=True, metavar="NAMES", help="bce, ...; each model's own where none is given.")
@click.option("--dataset", default="auto", show_default=True, help="auto: mnist if it can be had, else digits.")
@click.option("--image-size", type=click.Choice(["28", "32", "64"]), help="Only where a model leaves it open.")
@click.option("--seeds", multiple=True, metavar="LIST", help="Such as 0-2 or 0,7.")
@click.option("--lrs", multiple=True, metavar="LIST", help="Such as 1e-4,2e-4; 4e-4:1e-4 is G's and D's.")
@click.option("--epochs", type=int, metavar="N", help="How long; or --steps.")
@click.option("--steps", type=int, metavar="N", help="How long, in updates of D and G.")
@click.option("--batch-size", type=int, metavar="N", help="Images a step.")
@click.option("--preset", metavar="NAME", help="smoke, quick, standard or paper; sets only what you don't.")
@click.option("--metrics", multiple=True, metavar="NAMES", help="fid,is,kid,prc,modes; all of them by default.")
@click.option(
    "--extractors", multiple=True, metavar="NAMES", help="mnist-cnn,inception; auto: the data set's own."
)
@click.option("--eval-samples", type=int, metavar="N", help="Images drawn for each evaluation.")
@click.option("--eval-every", type=int, metavar="N", help="Evaluate every N epochs, too, and keep the best.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "tf32", "bf16"]), default="auto", show_default=True
)
@click.option("--lanes", default="auto", show_default=True, metavar="N", help="Runs trained as one program.")
@click.option("--jobs", "-j", type=int, default=1, show_default=True, metavar="N", help="Worker processes.")
@click.option("--executor", default="local", show_default=True, help="Where groups of runs are placed.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/local"), show_default=True)
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="Folder with MNIST/raw/*.gz (or GAN_BENCH_DATA)."
)
@click.option("--offline", is_flag=True, help="Download nothing.")
@click.option(
    "--matrix",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_read_matrix,
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout.")
def run(**given: Any) -> None:
    """Train, score, time and store models x losses x seeds x learning rates, and report.

    The same command again finishes what is missing and does nothing twice.

    \b
    gan-bench run --models vanilla,dcgan
    gan-bench run --models dcgan --image-size 64 --seeds 0-2 --lrs 1e-4,2e-4 --epochs 25
    """
    from gan_bench import benchmark
    from gan_bench.cli.plan import print_plan
    from gan_bench.cli.watch import Watch

    matrix, options = _matrix(given), _options(given)
    as_json: bool = given["as_json"]
    with Watch(as_json) as watch:
        planned = benchmark.plan(matrix, options, watch.notice)
        watch.expect(planned)
        if given["dry_run"]:
            print_plan(planned, as_json)
            return
        records = benchmark.execute(planned, watch)
    _conclude(planned, records, as_json)


def _conclude(planned: Plan, records: Sequence[RunRecord], as_json: bool) -> None:
    from gan_bench import benchmark
    from gan_bench.cli.tables import print_runs
    from gan_bench.store.store import Store

    out = planned.options.out
    if records:
        page = benchmark.write_report(out).page
        if not as_json:
            mine = {spec.run_id for spec in planned.specs}
            runs = Store.open(out, create=False, notify=lambda text: None).runs()
            print_runs([run for run in runs if run.record.run_id in mine], page)
    failed = [record for record in records if record.status == "failed"]
    for record in failed:
        click.echo(f"failed: {record.run_id}: {record.reason}", err=True)
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
    from gan_bench.benchmark import Options

    lanes: str = given["lanes"]
    if lanes != "auto" and not (lanes.isdecimal() and int(lanes) > 0):
        raise InputError(f"--lanes {lanes!r}: type auto or a whole number of 1 or more")
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
    )
