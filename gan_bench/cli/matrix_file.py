"""--matrix FILE.toml: the options of `gan-bench run` as keys of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gan_bench.cli.options import option_name
from gan_bench.core.decoding import parse_toml
from gan_bench.core.errors import InputError, ReadError, short_repr, unknown
from gan_bench.core.limits import MAX_MATRIX_BYTES
from gan_bench.core.reading import read_bytes

COMMAND_LINE_ONLY = ("matrix", "dry-run", "json", "help")
"""Options of one call rather than of a matrix."""


def read_matrix(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Set the options' defaults from a TOML file, so that the command line wins; a click callback."""
    if file is None:
        return None
    options = {option_name(param).lstrip("-"): param for param in context.command.params}
    defaults: dict[str, Any] = {}
    for typed, value in _parse(file).items():
        key = typed.replace("_", "-")
        if key in COMMAND_LINE_ONLY:
            raise InputError(f"--matrix {file}: {typed} belongs on the command line; remove it from the file")
        if key not in options:
            raise unknown(f"key in {file}", typed, set(options) - set(COMMAND_LINE_ONLY))
        name = options[key].name or ""
        defaults[name] = _as_typed(value, options[key], f"--matrix {file}: {typed}")
    context.default_map = {**(context.default_map or {}), **defaults}
    return file


def _parse(file: Path) -> dict[str, Any]:
    try:
        data = read_bytes(file, max_bytes=MAX_MATRIX_BYTES)
    except ReadError as error:
        why = str(error).removeprefix(f"{file}: ")
        raise InputError(f"--matrix {file}: can't be read ({why}); name a TOML file") from error
    try:
        return parse_toml(data, f"--matrix {file}")
    except ReadError as error:
        raise InputError(str(error)) from error


def _as_typed(value: object, option: click.Parameter, asked: str) -> object:
    """Return a TOML value as it would be typed; raise InputError for a type that the option does not take."""
    if "\0" in short_repr(value) or (isinstance(value, str) and "\0" in value):  # no command line can hold one
        raise InputError(f"{asked} = {short_repr(value)}: remove the zero byte")
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise InputError(f"{asked} = {short_repr(value)}: type true or false")
        return value
    if option.name == "settings":
        if not isinstance(value, Mapping) or not all(_is_scalar(each, boolean=True) for each in value.values()):
            raise InputError(
                f"{asked} = {short_repr(value)}: type a table, such as set = {{ width = 0.5, z_dim = 64 }}"
            )
        return [f"{key}={str(each).lower() if isinstance(each, bool) else each}" for key, each in value.items()]
    if _is_scalar(value):
        return [str(value)] if option.multiple else str(value)
    if isinstance(value, list) and value and option.multiple and all(map(_is_scalar, value)):
        return [str(each) for each in value]
    raise InputError(f"{asked} = {short_repr(value)}: type {_accepted(option)}")


def _is_scalar(value: object, *, boolean: bool = False) -> bool:
    return isinstance(value, (str, int, float)) and (boolean or not isinstance(value, bool))


def _accepted(option: click.Parameter) -> str:
    if option.multiple:
        return 'a non-empty list, or text as on the command line, such as "a,b"'
    return "one number or one text, as on the command line"
