"""Options: where and how a matrix is run. Each field declares its command-line option. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gan_bench.core.frozen import Count, UserInput
from gan_bench.core.parsing import parse_lanes, parse_path, parse_seconds

DEFAULT_OUT = Path("results/local")
MAX_WORKERS = 1024


@dataclass(frozen=True)
class Flag:
    """How a field is typed on the command line: `--field-name` unless `name` says otherwise."""

    help: str
    metavar: str | None = None
    name: str | None = None
    short: str | None = None
    off: str | None = None
    """The option that switches a boolean off, such as --no-retry-failed."""
    parse: Callable[[str, str], tuple[Any, ...]] | None = None
    """For a list that is typed as one text: from the text and the option's name to the values."""


def _seconds(value: Any) -> Any:
    return parse_seconds(value, "a time") if isinstance(value, str) else value


def _path(value: Any) -> Any:
    return parse_path(str(value), "path") if isinstance(value, str | Path) else value


UserPath = Annotated[Path, BeforeValidator(_path)]
"""A path as a user types it: text or Path, `~` expanded."""
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
"""Seconds, or text such as 90s, 15m, 2h."""
Workers = Annotated[int, Field(ge=1, le=MAX_WORKERS)]
LaneCount = Annotated[Workers | None, BeforeValidator(parse_lanes)]


class Options(UserInput):
    """Where and how a matrix is run; nothing here changes what a run is.

    A new option of `gan-bench run` is a field here and its use: the command line is built from the fields.
    """

    preset: Annotated[
        str | None, Flag("smoke, quick, standard or paper; sets only what you don't.", metavar="NAME")
    ] = None
    """None: `standard` with a GPU, `quick` without."""
    eval_every: Annotated[
        Count | None, Flag("Evaluate every N epochs while training, and keep the best weights.", metavar="N")
    ] = None
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps.")] = "auto"
    lanes: Annotated[
        LaneCount, Flag("Runs trained as one program; auto: 1 on a CPU, measured on a GPU.", metavar="N")
    ] = None
    """None: chosen by device."""
    jobs: Annotated[Workers, Flag("Worker processes.", metavar="N", short="-j")] = 1
    executor: Annotated[str, Flag("Where groups of runs are executed.")] = "local"
    out: Annotated[UserPath, Flag("Results folder.")] = DEFAULT_OUT
    data_root: Annotated[UserPath | None, Flag("Folder with MNIST/raw/*.gz (or GAN_BENCH_DATA).")] = None
    """None: GAN_BENCH_DATA, else the user's cache."""
    cache_dir: UserPath | None = None
    """Folder for reference features and trained extractors; None: the user's cache."""
    offline: Annotated[bool, Flag("Download nothing.")] = False
    plugins: Annotated[
        tuple[UserPath, ...], Flag("A Python file that registers models, losses, ...", name="--plugin")
    ] = ()
    fresh: Annotated[bool, Flag("Discard earlier results of these runs.")] = False
    fail_fast: Annotated[bool, Flag("Start nothing new after a run has failed.")] = False
    retry_failed: Annotated[bool, Flag("Retry runs that failed earlier.", off="--no-retry-failed")] = True
    retries: Annotated[int, Field(ge=0, le=100), Flag("Immediate retries per failed run.", metavar="N")] = 0
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
