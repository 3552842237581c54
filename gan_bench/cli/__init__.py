"""The command line: one file per command; options in, calls out, no logic."""

from __future__ import annotations

from gan_bench.cli.group import main

__all__ = ["main"]
