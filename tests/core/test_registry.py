"""Registries: discovery of built-in modules, entry points and plugin files."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.core import registry
from gan_bench.core.errors import InputError
from gan_bench.core.registry import NAME, Registry, check_name, load_plugins

BASE = """
from gan_bench.core.registry import Registry
things = Registry("thing", "{package}", "{package}.things")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An importable package, named after the test, with a registry in base.py."""
    folder = tmp_path / re.sub(r"\W", "_", request.node.name)
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(BASE.format(package=folder.name))
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def add(package: Path, module: str, name: str, value: int) -> None:
    text = f"from {package.name}.base import things\nthings.register({name!r})({value})\n"
    (package / f"{module}.py").write_text(text)


def registry_of(package: Path) -> Registry[int]:
    registry: Registry[int] = importlib.import_module(f"{package.name}.base").things
    return registry


@given(st.from_regex(NAME, fullmatch=True))
def test_allowed_names_are_safe_file_names(name: str) -> None:
    assert check_name("model", name) == name
    assert Path(name).name == name
    assert not name.startswith(".")
    assert len(name) <= 64


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "A", "-a", "_a", "a b", "a\n", "é", "a" * 65, "a\0"]
)
def test_other_names_are_input_errors(name: str) -> None:
    with pytest.raises(InputError, match=r"model name .* is not allowed"):
        check_name("model", name)
    with pytest.raises(InputError):
        Registry("model", "none", "none").register(name)


def test_a_file_in_the_package_registers_itself(package: Path) -> None:
    add(package, "zebra", "z", 1)
    add(package, "ape", "a", 2)
    registry = registry_of(package)
    assert registry.names() == list(registry) == ["a", "z"]
    assert registry.get("z") == 1
    assert "a" in registry
    assert "b" not in registry


def test_nothing_is_imported_before_the_first_lookup(package: Path) -> None:
    add(package, "late", "l", 1)
    registry = registry_of(package)
    assert f"{package.name}.late" not in sys.modules
    assert registry.get("l") == 1
    assert f"{package.name}.late" in sys.modules


def test_an_unknown_name_is_an_error_with_the_closest_names(package: Path) -> None:
    for name in ("vanilla", "dcgan28", "dcgan64"):
        add(package, name, name, 0)
    registry = registry_of(package)
    with pytest.raises(InputError, match=r"unknown thing 'dcgan': did you mean dcgan\d\d or dcgan\d\d\?"):
        registry.get("dcgan")
    with pytest.raises(InputError, match="unknown thing 'xyz': known: dcgan28, dcgan64, vanilla"):
        registry.get("xyz")


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("thing", "none", "none")
    registry.register("a")(1)
    with pytest.raises(InputError, match="thing 'a' is registered twice"):
        registry.register("a")(2)


def test_a_broken_file_raises_at_every_lookup(package: Path) -> None:
    add(package, "ape", "a", 1)
    (package / "broken.py").write_text("import no_such_module_anywhere")
    add(package, "zebra", "z", 2)
    registry = registry_of(package)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            registry.names()


def entry_points(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    def fake(group: str) -> list[importlib.metadata.EntryPoint]:
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in entries]

    monkeypatch.setattr(importlib.metadata, "entry_points", fake)


def test_an_entry_point_of_another_distribution_is_registered(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_thing.py").write_text(
        f"from {package.name}.base import things\nthings.register('theirs')(7)\nvalue = 7\n"
    )
    entry_points(monkeypatch, ("theirs", "their_thing:value"))
    assert registry_of(package).get("theirs") == 7


def test_a_broken_entry_point_is_an_input_error_that_names_it(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_points(monkeypatch, ("theirs", "no_such_module_anywhere"))
    with pytest.raises(InputError, match="thing 'theirs': its plugin no_such_module_anywhere can't be loaded"):
        registry_of(package).names()
    entry_points(monkeypatch, ("theirs", "json"))
    with pytest.raises(InputError, match="registers nothing of that name"):
        registry_of(package).names()


def test_a_plugin_file_is_executed_once(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "my plugin.py"
    file.write_text(f"from {package.name}.base import things\nthings.register('mine')(7)\n")
    load_plugins([file, package / ".." / file.name])
    load_plugins([file])
    assert registry_of(package).get("mine") == 7


def test_a_plugin_file_that_fails_is_an_input_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--plugin .*none\.py: no such file"):
        load_plugins([tmp_path / "none.py"])
    with pytest.raises(InputError, match=r"--plugin .*: is a folder, not a file"):
        load_plugins([tmp_path])
    (tmp_path / "plugin.txt").write_text("")
    with pytest.raises(InputError, match=r"plugin\.txt: not a Python file; name a file that ends in \.py"):
        load_plugins([tmp_path / "plugin.txt"])
    for text, message in [
        ("1 / 0", "failed with ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "failed with SystemExit: 3"),
        ("def f(:", "failed with SyntaxError"),
    ]:
        file = tmp_path / f"broken{len(text)}.py"
        file.write_text(text)
        for _ in range(2):
            with pytest.raises(InputError, match=message):
                load_plugins([file])


def test_a_plugin_is_executed_as_it_is_now_and_leaves_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytecode counts as up to date where size and time are equal, as after two edits in one second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "changing.py"
    for value in (1, 2):
        file.write_text(f"value = {value}\n")
        os.utime(file, (1, 1))
        monkeypatch.setattr(registry, "_loaded_plugins", set())
        load_plugins([file])
        assert sys.modules["gan_bench_plugin_changing"].value == value
    assert list(tmp_path.iterdir()) == [file]


def test_a_plugin_may_postpone_annotations(tmp_path):
    """pydantic resolves the fields of a recipe in the module that defines it."""
    file = tmp_path / "postponed.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from typing import Literal\n"
        "from gan_bench.core.training_spec import Recipe\n"
        "class Postponed(Recipe):\n"
        "    kind: Literal['a', 'b'] = 'a'\n"
        "assert Postponed(kind='b').kind == 'b'\n"
    )
    load_plugins([file])
