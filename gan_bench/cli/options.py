"""Options and arguments that commands share; the options of a run are built from the fields of `Options`."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click
from annotated_types import Interval

from gan_bench.core import parsing
from gan_bench.core.errors import InputError
from gan_bench.core.option_fields import DEFAULT_OUT, MAX_WORKERS, Flag, MatrixFields, OptionFields

if TYPE_CHECKING:
    from gan_bench.core.options import Options

C = TypeVar("C", bound=Callable[..., Any])


class UserPath(click.Path):  # type: ignore[type-arg, unused-ignore]  # generic in newer click only
    """A path; `~` is expanded."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the absolute path; raise InputError for an empty one or an unknown home folder."""
        return super().convert(str(parsing.parse_path(str(value), option_name(param))), param, ctx)


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A time such as 90s, 15m or 2h, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds; raise InputError for text that is not a time above 0."""
        return parsing.parse_seconds(str(value), option_name(param))


class Lanes(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A number of lanes, or `auto`."""

    name = "lanes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number or `auto`, which `Options` takes; raise InputError for anything else."""
        text = str(value)
        if text == "auto":
            return text
        if text.isdecimal() and text.isascii() and len(text) < 10 and 1 <= int(text) <= MAX_WORKERS:
            return int(text)
        raise InputError(f"{option_name(param)} {text!r}: type auto or a whole number from 1 to {MAX_WORKERS:,}")


def option_name(param: click.Parameter | None) -> str:
    """Return an option as it is typed in full, such as --out."""
    return max(param.opts, key=len) if param else "value"


def field_type(fields: type, name: str) -> Any:
    """Return the click type of a field: a range, a choice, a path, a time; None for text and booleans.

    Limits are declared once, in the field. Raises TypeError for a type that has no form on the command line.
    """
    base, metadata = _field(fields, name)
    if any(isinstance(item, Flag) and item.auto for item in metadata):
        return Lanes()
    if get_origin(base) is Literal:
        return click.Choice([str(value) for value in get_args(base)])
    if base is int:
        limits: Any = next((item for item in metadata if isinstance(item, Interval)), Interval())
        return click.IntRange(limits.ge, limits.le)
    if base is float:
        return Duration()
    if base is Path:
        return UserPath()
    if base in (str, bool):
        return None
    raise TypeError(f"{fields.__name__}.{name}: {base} has no form on the command line")


@functools.cache
def _hints(fields: type) -> dict[str, Any]:
    return get_type_hints(fields, include_extras=True)


def _field(fields: type, name: str) -> tuple[Any, list[Any]]:
    """Return a field's type within `Annotated`, `| None` and `tuple[..., ...]`, and all metadata around it."""
    return _unwrap(_hints(fields)[name], [])


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _unwrap(inner, [*metadata, *more])
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        inner = next(each for each in get_args(annotation) if each not in (types.NoneType, Ellipsis))
        return _unwrap(inner, metadata)
    return annotation, metadata


def _flag(fields: type, name: str) -> Flag | None:
    return next((item for item in _field(fields, name)[1] if isinstance(item, Flag)), None)


def shared_options(*names: str, of: type = OptionFields) -> Callable[[C], C]:
    """Return a decorator that adds the options of the named fields, each declared by its `Flag`."""

    def decorate(command: C) -> C:
        for name in reversed(names):
            command = _option(of, name)(command)
        return command

    return decorate


def _option(fields: type, name: str) -> Callable[[C], C]:
    flag = _flag(fields, name)
    if flag is None:
        raise TypeError(f"{fields.__name__}.{name} has no Flag")
    kind = None if flag.parse else field_type(fields, name)
    typed = flag.name or "--" + name.replace("_", "-")
    names = [f"{typed}/{flag.off}" if flag.off else typed, *([flag.short] if flag.short else []), name]
    default = getattr(fields, name, None)
    many = bool(flag.parse) or isinstance(default, tuple)
    if isinstance(kind, Lanes):
        default = default or "auto"
    elif isinstance(kind, Duration) and default is not None:
        default = f"{default:g}s"
    return click.option(
        *names,
        type=kind,
        is_flag=_field(fields, name)[0] is bool,
        multiple=many,
        default=None if many else default,
        show_default=not (many or default is None or default is False),
        metavar=flag.metavar,
        help=flag.help,
    )


def field_values(fields: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command that are among `fields`; a list that was not typed is None."""
    values = {name: given[name] for name in _hints(fields) if name in given}
    for name, texts in values.items():
        flag = _flag(fields, name)
        if flag and flag.parse:
            values[name] = flag.parse(",".join(texts), f"--{name}") if texts else None
    return values


def make_options(given: Mapping[str, Any]) -> Options:
    """Return the `Options` of a command that has all of its options or some."""
    from gan_bench.core.options import Options

    return Options(**field_values(OptionFields, given))


run_options = shared_options(*(name for name in _hints(OptionFields) if _flag(OptionFields, name)))
"""Adds an option for every field of `Options` that has a `Flag`."""
EVALUATION = ("metrics", "extractors", "eval_samples", "eval_draws", "reference_split", "batch_norm")
evaluation_options = shared_options(*EVALUATION, of=MatrixFields)
"""Adds the options that make up an evaluation spec."""
results_argument = click.argument("folder", metavar="[DIR]", type=UserPath(), default=DEFAULT_OUT)
"""The results folder that a command reads."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
runs_option = click.option("--runs", "all_runs", is_flag=True, help="Print a row for each run, not each model.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A recipe value: z_dim, width, dropout, ..."
)


def split_run(text: str, folder: Path) -> tuple[Path, str]:
    """Return the results folder and the run id of RUN: a run id, the beginning of one, or a run's folder."""
    path = parsing.parse_path(text, "RUN")
    if path.is_dir() and path.resolve().parent.name == "runs":
        return path.resolve().parents[1], path.resolve().name
    return folder, text
