"""Options: where and how a matrix is run. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationInfo, field_validator

from gan_bench.core.frozen import UserInput
from gan_bench.core.option_fields import OptionFields
from gan_bench.core.parsing import parse_path, parse_seconds


class Options(OptionFields, UserInput):
    """Where and how a matrix is run; nothing here changes what a run is.

    Paths are text or Path; `~` is expanded, and they are made absolute. Times are seconds, or text: 90s, 15m, 2h.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    @field_validator("out", "data_root", "cache_dir", "plugins", mode="before")
    @classmethod
    def _parse_paths(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list | tuple):
            return tuple(cls._parse_paths(each, info) for each in value)
        return parse_path(str(value), info.field_name or "path") if isinstance(value, str | Path) else value

    @field_validator("run_timeout", "checkpoint_every", mode="before")
    @classmethod
    def _parse_time(cls, value: Any) -> Any:
        return parse_seconds(value, "a time") if isinstance(value, str) else value

    @field_validator("lanes", mode="before")
    @classmethod
    def _parse_auto(cls, value: Any) -> Any:
        return None if value == "auto" else value
