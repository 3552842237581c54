"""gan-bench sample: draw images from a run's generator."""

from __future__ import annotations

from pathlib import Path

import click

from gan_bench.cli import options as shared
from gan_bench.core.errors import InputError
from gan_bench.core.option_fields import DEFAULT_OUT


@click.command("sample")
@click.argument("run", metavar="RUN")
@click.option(
    "--dir", "folder", type=shared.UserPath(), default=DEFAULT_OUT, show_default=True, help="Results folder."
)
@click.option(
    "--n", "count", type=click.IntRange(1, 10_000), metavar="N", default=64, show_default=True, help="Images."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the noise.",
)
@click.option("--class", "label", type=int, help="Class, for conditional models.")
@click.option(
    "--checkpoint", type=click.Choice(["last", "best"]), default="last", show_default=True, help="Which weights."
)
@click.option("--out", type=shared.UserPath(), default=Path("grid.png"), show_default=True, help="PNG to write.")
@shared.shared_options("plugins")
def sample_(
    run: str,
    folder: Path,
    count: int,
    seed: int,
    label: int | None,
    checkpoint: str,
    out: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Draw images from the generator of RUN: a run id, the beginning of one, or a run's folder."""
    _check(out)
    from gan_bench.cli.ui.output import echo, print_notice
    from gan_bench.core.files import remove_temporary, write_bytes
    from gan_bench.core.images import png_bytes
    from gan_bench.core.registry import load_plugins
    from gan_bench.runner.provenance import require_same_model
    from gan_bench.store.store import Store
    from gan_bench.training.sampling import require_class, sample_grid

    folder, run = shared.split_run(run, folder)
    load_plugins(plugins)
    store = Store.open(folder, create=False, on_event=print_notice)
    found = store.find(run)
    require_same_model(found, dataset=False)
    spec = found.spec
    if label is not None:
        require_class(spec, label)
    weights = store.weights(spec, "best" if checkpoint == "best" else "last")
    if weights is None and checkpoint == "best":
        raise InputError(f"{spec.run_id} has no best checkpoint: only runs with --eval-every keep one; type last")
    if weights is None:
        raise InputError(f"{spec.run_id} has no checkpoint: choose another run, or train it again with --fresh")
    remove_temporary(out.absolute().parent, f"{out.name}.")
    write_bytes(out, png_bytes(sample_grid(spec, weights, count, seed, label)))
    of = "" if label is None else f"class {label}, "
    echo(f"{count} images of {spec.run_id} ({of}{checkpoint}): {out}")


def _check(out: Path) -> None:
    """Raise InputError for options that can't be followed."""
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: only PNG files are written; type a name that ends in .png")
    if out.is_dir():
        raise InputError(f"--out {out}: a folder; type the name of a file in it")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out {out}: the folder {out.resolve().parent} does not exist; make it first")
