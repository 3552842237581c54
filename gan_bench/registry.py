"""One way to find a thing by name: models, losses, data sets, metrics, extractors, plots, executors."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from gan_bench.errors import InputError, unknown

T = TypeVar("T")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(kind: str, name: str) -> str:
    """Return `name` if it is allowed; raise InputError otherwise (names become file names)."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{kind} name {name!r} is not allowed: use 1 to 64 of a-z, 0-9, '.', '_', '-', "
            "the first a letter or a digit"
        )
    return name


class Registry(Generic[T]):
    """Names to things of one kind; built-ins are found by importing a package's modules, others by entry point.

    `package` is the room whose files register themselves; `group` is the entry-point group through which
    other distributions add theirs. Both are looked up once, at the first question.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._things: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a thing under `name`; a name can be taken only once."""
        check_name(self.kind, name)

        def decorate(thing: T) -> T:
            if name in self._things:
                raise InputError(f"{self.kind} {name!r} is registered twice: choose another name")
            self._things[name] = thing
            return thing

        return decorate

    def get(self, name: str) -> T:
        """Return the thing called `name`; raise InputError with the nearest names if there is none."""
        self._discover()
        if name not in self._things:
            raise unknown(self.kind, name, self._things)
        return self._things[name]

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._discover()
        return sorted(self._things)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._things

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # before the imports: what they import may ask, too
        try:
            package = importlib.import_module(self.package)
            for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
                importlib.import_module(f"{self.package}.{module.name}")
            for entry in importlib.metadata.entry_points(group=self.group):
                self._load(entry)
        except BaseException:
            self._discovered = False  # else the next question would be answered from a part of them
            raise

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        """Import what another distribution adds; that registers it, as a built-in one does."""
        if entry.name in self._things:
            return
        try:
            entry.load()
        except Exception as error:
            raise InputError(
                f"{self.kind} {entry.name!r}: its plugin {entry.value} can't be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall it"
            ) from error
        if entry.name not in self._things:
            raise InputError(
                f"{self.kind} {entry.name!r}: its plugin {entry.value} registers nothing of that name; "
                f"give the entry point the name that it registers"
            )


_loaded_plugins: set[Path] = set()


def load_plugins(files: Sequence[Path]) -> None:
    """Run Python files that register models, losses, metrics ...; the only way in which others' code is run.

    Each file is run once in a process, however often it is named. Raises InputError for a file that can't be run.
    """
    for file in files:
        if file.resolve() in _loaded_plugins:
            continue
        if not file.is_file():
            raise InputError(f"--plugin {file}: there is no such file")
        module_spec = importlib.util.spec_from_file_location(f"gan_bench_plugin_{file.stem}", file)
        if module_spec is None or module_spec.loader is None:
            raise InputError(f"--plugin {file}: give a Python file, named *.py")
        try:
            module_spec.loader.exec_module(importlib.util.module_from_spec(module_spec))
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"--plugin {file}: it fails with {type(error).__name__}: {error}") from error
        _loaded_plugins.add(file.resolve())
