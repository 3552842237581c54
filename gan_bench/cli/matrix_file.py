"""--matrix FILE.toml: the options of `gan-bench run` as keys of a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gan_bench.errors import InputError, unknown

ONLY_TYPED = ("matrix", "dry-run", "json", "help")
"""Options that are about one call, not about a matrix."""


def read_matrix(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Let a TOML file set the defaults of every option, so that the command line wins."""
    if file is None:
        return None
    options = {_key(param): param for param in context.command.params}
    defaults: dict[str, Any] = {}
    for typed, value in _parsed(file).items():
        key = typed.replace("_", "-")
        if key in ONLY_TYPED:
            raise InputError(f"--matrix {file}: {typed} belongs on the command line; take it out of the file")
        if key not in options:
            raise unknown(f"key in {file}", typed, set(options) - set(ONLY_TYPED))
        name = options[key].name or ""
        defaults[name] = _as_typed(value, options[key], f"--matrix {file}: {typed}")
    context.default_map = {**(context.default_map or {}), **defaults}
    return file


def _key(param: click.Parameter) -> str:
    return max(param.opts, key=len).lstrip("-")


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(f"--matrix {file}: it can't be read ({why}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--matrix {file}: it is no TOML: {error}") from error


def _as_typed(value: object, option: click.Parameter, asked: str) -> object:
    """Write a TOML value as a person would type it; raise InputError for a kind that the option can't be."""
    if "\0" in str(value):  # nobody can type it
        raise InputError(f"{asked} = {value!r}: type it without the zero byte")
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise InputError(f"{asked} = {value!r}: type true or false")
        return value
    if option.name == "settings":
        if not isinstance(value, Mapping) or not all(_is_scalar(each, boolean=True) for each in value.values()):
            raise InputError(f"{asked} = {value!r}: type a table, such as set = {{ width = 0.5, z_dim = 64 }}")
        return [f"{key}={str(each).lower() if isinstance(each, bool) else each}" for key, each in value.items()]
    if _is_scalar(value):
        return [str(value)] if option.multiple else str(value)
    if isinstance(value, list) and value and option.multiple and all(map(_is_scalar, value)):
        return [str(each) for each in value]
    raise InputError(f"{asked} = {value!r}: type {_wanted(option)}")


def _is_scalar(value: object, *, boolean: bool = False) -> bool:
    return isinstance(value, (str, int, float)) and (boolean or not isinstance(value, bool))


def _wanted(option: click.Parameter) -> str:
    if option.multiple:
        return 'a list that is not empty, or what the command line takes, such as "a,b"'
    return "one number or one text, as on the command line"
