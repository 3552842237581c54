"""The command line: one file per command, shared options in options.py, output in ui/. No logic of its own."""

from __future__ import annotations

from gan_bench.cli.main import main

__all__ = ["main"]
