"""Options and arguments that commands share; the options of a run are built from the fields of `Options`."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gan_bench.core import parsing
from gan_bench.core.errors import InputError
from gan_bench.core.matrix import Matrix
from gan_bench.core.options import DEFAULT_OUT, MAX_WORKERS, Flag, LaneCount, Options, Seconds

C = TypeVar("C", bound=Callable[..., Any])
_SECONDS = get_args(Seconds)[1]
_LANES = get_args(LaneCount)[1]
"""The validators that mark a field as a time, or as a number of lanes."""


class UserPath(click.Path):  # type: ignore[type-arg, unused-ignore]  # generic in newer click only
    """A path; `~` is expanded."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; raise InputError for an empty one or an unknown home folder."""
        if not str(value):
            raise InputError(f"{option_name(param)} '': an empty path; type a file or a folder")
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


def field_type(model: type[BaseModel], name: str) -> Any:
    """Return the click type of a pydantic field: a range, a choice, a path, a time; None for text and booleans.

    Limits are declared once, in the model. Raises TypeError for a type that has no form on the command line.
    """
    field = model.model_fields[name]
    base, metadata = _unwrap(field.annotation, field.metadata)
    if _SECONDS in metadata:
        return Duration()
    if _LANES in metadata:
        return Lanes()
    if get_origin(base) is Literal:
        return click.Choice([str(value) for value in get_args(base)])
    if base is int:
        return click.IntRange(_bound(metadata, "ge"), _bound(metadata, "le"))
    if base is Path:
        return UserPath()
    if base in (str, bool):
        return None
    raise TypeError(f"{model.__name__}.{name}: {base} has no form on the command line")


def _unwrap(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Return the type within `Annotated`, `| None` and `tuple[..., ...]`, and all metadata around it."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _unwrap(inner, [*metadata, *more])
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        (inner,) = (each for each in get_args(annotation) if each not in (types.NoneType, Ellipsis))
        return _unwrap(inner, metadata)
    return annotation, list(metadata)


def _bound(metadata: Sequence[Any], kind: str) -> int | None:
    parts = [part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
    return next((getattr(part, kind) for part in parts if hasattr(part, kind)), None)


def _flag(field: FieldInfo) -> Flag | None:
    return next((item for item in field.metadata if isinstance(item, Flag)), None)


def shared_options(*names: str, of: type[BaseModel] = Options) -> Callable[[C], C]:
    """Return a decorator that adds the options of the named fields, each declared by its `Flag`."""

    def decorate(command: C) -> C:
        for name in reversed(names):
            command = _option(of, name)(command)
        return command

    return decorate


def _option(model: type[BaseModel], name: str) -> Callable[[C], C]:
    field = model.model_fields[name]
    flag = _flag(field)
    if flag is None:
        raise TypeError(f"{model.__name__}.{name} has no Flag")
    kind = None if flag.parse else field_type(model, name)
    typed = flag.name or "--" + name.replace("_", "-")
    names = [f"{typed}/{flag.off}" if flag.off else typed, *([flag.short] if flag.short else []), name]
    many, default = bool(flag.parse) or get_origin(field.annotation) is tuple, field.default
    if isinstance(kind, Lanes):
        default = default or "auto"
    elif isinstance(kind, Duration) and default is not None:
        default = f"{default:g}s"
    return click.option(
        *names,
        type=kind,
        is_flag=field.annotation is bool,
        multiple=many,
        default=None if many else default,
        show_default=not (many or default is None or default is False),
        metavar=flag.metavar,
        help=flag.help,
    )


def field_values(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command that are fields of `model`; a list that was not typed is None."""
    values = {name: given[name] for name in model.model_fields if name in given}
    for name, texts in values.items():
        flag = _flag(model.model_fields[name])
        if flag and flag.parse:
            values[name] = flag.parse(",".join(texts), f"--{name}") if texts else None
    return values


def make_options(given: Mapping[str, Any]) -> Options:
    """Return the `Options` of a command that has all of its options or some."""
    return Options(**field_values(Options, given))


run_options = shared_options(*(name for name, field in Options.model_fields.items() if _flag(field)))
"""Adds an option for every field of `Options` that has a `Flag`."""
EVALUATION = ("metrics", "extractors", "eval_samples", "eval_draws", "reference_split", "batch_norm")
evaluation_options = shared_options(*EVALUATION, of=Matrix)
"""Adds the options that make up an evaluation spec."""
results_argument = click.argument("folder", metavar="[DIR]", type=UserPath(), default=DEFAULT_OUT)
"""The results folder that a command reads."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A recipe value: z_dim, width, dropout, ..."
)


def split_run(text: str, folder: Path) -> tuple[Path, str]:
    """Return the results folder and the run id of RUN: a run id, the beginning of one, or a run's folder."""
    path = Path(text)
    if path.is_dir() and path.resolve().parent.name == "runs":
        return path.resolve().parents[1], path.resolve().name
    return folder, text
