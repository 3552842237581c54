"""Fields of `Options` and `Matrix`, each with its command-line option. Loads no pydantic: help is fast without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Interval, Len

from gan_bench.core.image_source import ImageSource
from gan_bench.core.limits import MAX_RUNS
from gan_bench.core.parsing import parse_names, parse_rates, parse_seeds

if TYPE_CHECKING:  # so that type checkers know the arguments of Options and Matrix
    from gan_bench.core.frozen import UserInput as Fields
else:
    Fields = object

DEFAULT_OUT = Path("results/local")
MAX_WORKERS = 1024

Rates: TypeAlias = tuple[float, float]
Rate = Annotated[float, Interval(gt=0, lt=10)]
Count = Annotated[int, Interval(ge=1, le=10**9)]
Seed = Annotated[int, Interval(ge=0, lt=2**31)]
Workers = Annotated[int, Interval(ge=1, le=MAX_WORKERS)]
Seconds = Annotated[float, Interval(gt=0)]
"""Seconds, or text such as 90s, 15m, 2h."""
Samples = Annotated[int, Interval(ge=16, le=10**6)]
"""Images that scores are computed on; they and their features are held in memory."""
Draws = Annotated[int, Interval(ge=1, le=100)]
Names: TypeAlias = tuple[str, ...] | None
Split: TypeAlias = Literal["test", "train"]
BatchNormStatistics: TypeAlias = Literal["running", "batch", "standing"]


@dataclass(frozen=True)
class Flag:
    """How a field is typed on the command line: `--field-name` unless `name` says otherwise."""

    help: str
    metavar: str | None = None
    name: str | None = None
    short: str | None = None
    off: str | None = None
    """The option that switches a boolean off, such as --no-retry-failed."""
    auto: bool = False
    """Whether `auto` may be typed, for None."""
    parse: Callable[[str, str], tuple[Any, ...]] | None = None
    """For a list that is typed as one text: from the text and the option's name to the values."""


NamesFlag = functools.partial(Flag, metavar="NAMES", parse=parse_names)
"""The flag of a comma list of names."""


class OptionFields(Fields):
    """Fields of `Options`: a new option of `gan-bench run` is a field here and its use."""

    preset: Annotated[
        str | None, Flag("smoke, quick, standard or paper; sets only what you don't.", metavar="NAME")
    ] = None
    """None: `standard` with a GPU, `quick` without."""
    eval_every: Annotated[
        Count | None, Flag("Evaluate every N epochs while training, and keep the best weights.", metavar="N")
    ] = None
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps.")] = "auto"
    lanes: Annotated[
        Workers | None,
        Flag("Runs trained as one program; auto: 1 on a CPU, measured on a GPU.", metavar="N", auto=True),
    ] = None
    """None: chosen by device."""
    jobs: Annotated[Workers, Flag("Worker processes.", metavar="N", short="-j")] = 1
    executor: Annotated[str, Flag("Where groups of runs are executed.")] = "local"
    out: Annotated[Path, Flag("Results folder.")] = DEFAULT_OUT
    data_root: Annotated[Path | None, Flag("Folder with MNIST/raw/*.gz (or GAN_BENCH_DATA).")] = None
    """None: GAN_BENCH_DATA, else the user's cache."""
    cache_dir: Path | None = None
    """Folder for reference features and trained extractors; None: the user's cache."""
    offline: Annotated[bool, Flag("Download nothing.")] = False
    image_sources: tuple[ImageSource, ...] = ()
    """Users' own images; a plan adds those of `--dataset NAME=PATH`."""
    alpha: Annotated[
        Literal["white", "black"], Flag("Background of transparent images in --dataset NAME=PATH.")
    ] = "white"
    skip_bad: Annotated[bool, Flag("Leave out images of --dataset NAME=PATH that can't be read.")] = False
    write_cache: bool = True
    """Whether decoded images are cached; a dry run leaves no files."""
    plugins: Annotated[
        tuple[Path, ...], Flag("A Python file that registers models, losses, ...", name="--plugin")
    ] = ()
    fresh: Annotated[bool, Flag("Train finished runs again; a result stays until its new one is finished.")] = (
        False
    )
    detach: Annotated[bool, Flag("Plan the runs and return; gan-bench worker DIR trains them.")] = False
    fail_fast: Annotated[bool, Flag("Start nothing new after a run has failed.")] = False
    retry_failed: Annotated[bool, Flag("Retry runs that failed earlier.", off="--no-retry-failed")] = True
    retries: Annotated[int, Interval(ge=0, le=100), Flag("Immediate retries per failed run.", metavar="N")] = 0
    run_timeout: Annotated[
        Seconds | None, Flag("End a group of runs that takes longer, as failed: 90s, 15m, 2h.", metavar="TIME")
    ] = None
    checkpoint_every: Annotated[
        Seconds, Flag("Training time that a crash may cost at most: 30s, 5m.", metavar="TIME")
    ] = 60.0
    deterministic: Annotated[
        bool, Flag("Deterministic algorithms on a GPU; slower. A CPU is always deterministic.")
    ] = False
    profile: Annotated[
        bool, Flag("Profile a few extra steps of one run per model; print operators and keep a trace.")
    ] = False
    cpu_kernels: Annotated[
        Literal["auto", "pytorch"],
        Flag("auto: oneDNN linear layers where they are faster; pytorch: PyTorch's defaults."),
    ] = "auto"


class MatrixFields(Fields):
    """Fields of `Matrix`. None: the preset's value, else the recipe's."""

    models: Annotated[
        tuple[str, ...],
        Len(1, MAX_RUNS),
        NamesFlag("Names, aliases or all, as a comma list: vanilla,dcgan.", short="-m"),
    ]
    losses: Annotated[Names, NamesFlag("bce, hinge, ...; by default each model's own.")] = None
    penalties: Annotated[Names, NamesFlag("none, r1, ...; by default each loss's own.")] = None
    dataset: Annotated[
        str,
        Flag("A name, or NAME=PATH: a folder, zip, .npz, .npy or .parquet of images; auto: mnist, else digits."),
    ] = "auto"
    image_size: Annotated[
        Annotated[int, Interval(ge=1, le=1024)] | None,
        Flag("Height and width in pixels, for models of several sizes.", "N"),
    ] = None
    seeds: Annotated[
        Annotated[tuple[Seed, ...], Len(0, MAX_RUNS)] | None,
        Flag("Such as 0-2 or 0,7.", "LIST", parse=parse_seeds),
    ] = None
    lrs: Annotated[
        Annotated[tuple[tuple[Rate, Rate], ...], Len(0, MAX_RUNS)] | None,
        Flag("Such as 1e-4,2e-4; G:D for two rates, 4e-4:1e-4.", "LIST", parse=parse_rates),
    ] = None
    """Learning rates of generator and discriminator."""
    epochs: Annotated[Count | None, Flag("Length; or --steps.", "N")] = None
    steps: Annotated[Count | None, Flag("Length in updates of G.", "N")] = None
    batch_size: Annotated[Count | None, Flag("Images per batch.", "N")] = None
    precision: Annotated[Literal["auto", "fp32", "tf32", "bf16"], Flag("auto: tf32 on a GPU, else fp32.")] = "auto"
    metrics: Annotated[
        Names, NamesFlag("fid,is,kid,prc,dc,modes,copies,feature-copies,class-accuracy by default; or class-fid.")
    ] = None
    extractors: Annotated[Names, NamesFlag("mnist-cnn,inception; auto, the default: the data set's own.")] = None
    eval_samples: Annotated[Samples | None, Flag("Generated images per draw.", "N")] = None
    eval_draws: Annotated[Draws | None, Flag("Independent sample sets per generator; 1 by default.", "K")] = None
    reference_split: Annotated[Split | None, Flag("Real images to compare with; test by default.")] = None
    batch_norm: Annotated[
        BatchNormStatistics | None, Flag("BatchNorm statistics while sampling; running by default.")
    ] = None
