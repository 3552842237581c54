"""Registries of models, losses, penalties, data sets, metrics, extractors, plots and executors; plugin loading."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import pkgutil
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from gan_bench.core.errors import InputError, ReadError, unknown
from gan_bench.core.limits import MAX_PLUGIN_BYTES
from gan_bench.core.reading import exists, read_bytes

T = TypeVar("T")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PACKAGE = f"{__name__.partition('.')[0]}."


def check_name(kind: str, name: str) -> str:
    """Return `name` if it is allowed; raise InputError otherwise (names become file names)."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{kind} name {name!r} is not allowed: use 1 to 64 of a-z, 0-9, '.', '_', '-', "
            "the first a letter or a digit"
        )
    return name


_by_program: weakref.WeakKeyDictionary[Registry[Any], set[str]] = weakref.WeakKeyDictionary()
_loading = 0
"""Above 0 while built-ins, entry points or plugins are being loaded, as another process would."""


def registered_by_program() -> list[str]:
    """Return the names that the running script or notebook registered itself: other processes lack them."""
    return sorted({name for registry, names in _by_program.items() for name in names & registry._objects.keys()})


@contextlib.contextmanager
def _load() -> Iterator[None]:
    global _loading
    _loading += 1
    try:
        yield
    finally:
        _loading -= 1


def is_built_in(entry: object) -> bool:
    """Return whether a registered class or object is part of this package."""
    kind = entry if isinstance(entry, type) else type(entry)
    return kind.__module__.startswith(PACKAGE)


class Registry(Generic[T]):
    """Objects of one kind by name: built-ins from the modules of a package, others from entry points.

    `package` is the package whose modules register themselves; `group` is the entry-point group of other
    distributions. Both are imported once, at the first lookup.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._objects: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers an object under `name`; each name can be registered once."""
        check_name(self.kind, name)
        owner = sys._getframe(1).f_globals.get("__name__", "")

        def decorate(entry: T) -> T:
            if name in self._objects:
                raise InputError(f"{self.kind} {name!r} is registered twice: choose another name")
            self._objects[name] = entry
            if not (_loading or owner.startswith(PACKAGE)):
                _by_program.setdefault(self, set()).add(name)
            return entry

        return decorate

    def replace(self, name: str, entry: T) -> None:
        """Register an object under a name of the user's choice, in place of an earlier one."""
        self._discover()
        self._objects[check_name(self.kind, name)] = entry

    def get(self, name: str) -> T:
        """Return the object registered as `name`; raise InputError with the closest names if there is none."""
        self._discover()
        if name not in self._objects:
            raise unknown(self.kind, name, self._objects)
        return self._objects[name]

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._discover()
        return sorted(self._objects)

    def items(self) -> list[tuple[str, T]]:
        """Return every registered name with its object, sorted by name."""
        return [(name, self.get(name)) for name in self]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._objects

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # before the imports, which may look up names themselves
        try:
            with _load():
                package = importlib.import_module(self.package)
                for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
                    importlib.import_module(f"{self.package}.{module.name}")
                for entry in importlib.metadata.entry_points(group=self.group):
                    self._load(entry)
        except BaseException:
            self._discovered = False  # else the next lookup would see only a part of them
            raise

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        """Import an entry point, which registers its object as built-in modules do."""
        if entry.name in self._objects:
            return
        try:
            entry.load()
        except Exception as error:
            raise InputError(
                f"{self.kind} {entry.name!r}: its plugin {entry.value} can't be loaded "
                f"({type(error).__name__}: {error}); fix or uninstall it"
            ) from error
        if entry.name not in self._objects:
            raise InputError(
                f"{self.kind} {entry.name!r}: its plugin {entry.value} registers nothing of that name; "
                f"give the entry point the name that it registers"
            )


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Executes the file as it is now: bytecode beside it is neither written nor trusted, as it can be outdated."""

    def get_code(self, fullname: str) -> types.CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


_loaded_plugins: set[Path] = set()


def load_plugins(files: Sequence[Path]) -> None:
    """Execute Python files that register models, losses, metrics, ...

    Each file is executed once per process. Besides installed entry points, this is the only way to run third-party
    code. Raises InputError for a file that can't be executed.
    """
    for file in files:
        if file.resolve() in _loaded_plugins:
            continue
        if not exists(file):
            raise InputError(f"--plugin {file}: no such file")
        try:
            read_bytes(file, max_bytes=MAX_PLUGIN_BYTES)  # refuses a folder, a FIFO, a device
        except ReadError as error:
            raise InputError(f"--plugin {error}; name a Python file") from error
        name = f"gan_bench_plugin_{file.stem}"
        loader = _SourceLoader(name, str(file)) if file.suffix == ".py" else None
        module_spec = importlib.util.spec_from_file_location(name, file, loader=loader)
        if module_spec is None or module_spec.loader is None:
            raise InputError(f"--plugin {file}: not a Python file; name a file that ends in .py")
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[module_spec.name] = module  # where pydantic and pickle look up the names of a class's module
        try:
            with _load():
                module_spec.loader.exec_module(module)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"--plugin {file}: failed with {type(error).__name__}: {error}") from error
        _loaded_plugins.add(file.resolve())
