"""gan-bench sample: draw images from a run's generator."""

from __future__ import annotations

from pathlib import Path

import click

from gan_bench.cli.whole import Whole
from gan_bench.errors import InputError


@click.command(short_help="Draw images from a run's generator.")
@click.argument("run", metavar="RUN")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("results/local"),
    show_default=True,
    help="Results folder.",
)
@click.option(
    "--n", "count", type=Whole(1, 10_000), metavar="N", default=64, show_default=True, help="How many images."
)
@click.option("--seed", type=Whole(0, 2**31 - 1), metavar="N", default=0, show_default=True, help="Of the noise.")
@click.option("--class", "label", type=int, help="For models that are conditional on a class.")
@click.option(
    "--checkpoint", type=click.Choice(["last", "best"]), default="last", show_default=True, help="Which weights."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("grid.png"),
    show_default=True,
    help="PNG to write.",
)
@click.option("--plugin", multiple=True, type=click.Path(path_type=Path), help="A Python file that adds things.")
def sample(
    run: str,
    folder: Path,
    count: int,
    seed: int,
    label: int | None,
    checkpoint: str,
    out: Path,
    plugin: tuple[Path, ...],
) -> None:
    """Draw images from the generator of RUN: a run id, the beginning of one, or a run's folder."""
    from gan_bench.cli.tables import tell
    from gan_bench.registry import load_plugins
    from gan_bench.store.atomic import write_bytes
    from gan_bench.store.pictures import png
    from gan_bench.store.store import Store
    from gan_bench.training.generator import draw_grid

    if label is not None:
        raise InputError(f"--class {label}: the models here know no classes; leave --class out")
    if Path(run).is_dir() and Path(run).parent.name == "runs":
        folder, run = Path(run).resolve().parent.parent, Path(run).resolve().name
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: a PNG is written; name a file that ends in .png")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out {out}: the folder {out.resolve().parent} isn't there; make it first")
    load_plugins(plugin)
    store = Store.open(folder, create=False, notify=tell)
    spec = store.find(run).spec
    weights = store.weights(spec, "best" if checkpoint == "best" else "last")
    if weights is None:
        raise InputError(f"{spec.run_id} has no {checkpoint} checkpoint: choose another run, or train it again")
    write_bytes(out, png(draw_grid(spec, weights, count, seed)))
    click.echo(f"{count} images of {spec.run_id} ({checkpoint}): {out}")
