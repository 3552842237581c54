from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_bench.errors import InputError
from gan_bench.registry import NAME, Registry, check_name

ROOM = """
from gan_bench.registry import Registry
things = Registry("thing", "{room}", "{room}.things")
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A package on the path, whose name is that of the test, with a registry in base.py."""
    folder = tmp_path / re.sub(r"\W", "_", request.node.name)
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(ROOM.format(room=folder.name))
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def add(room: Path, module: str, name: str, value: int) -> None:
    text = f"from {room.name}.base import things\nthings.register({name!r})({value})\n"
    (room / f"{module}.py").write_text(text)


def registry_of(room: Path) -> Registry[int]:
    registry: Registry[int] = importlib.import_module(f"{room.name}.base").things
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
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"model name .* is not allowed"):
        check_name("model", name)
    with pytest.raises(InputError):
        Registry("model", "none", "none").register(name)


def test_a_file_in_the_room_is_found_without_any_other_edit(room: Path) -> None:
    add(room, "zebra", "z", 1)
    add(room, "ape", "a", 2)
    registry = registry_of(room)
    assert registry.names() == list(registry) == ["a", "z"]
    assert registry.get("z") == 1
    assert "a" in registry
    assert "b" not in registry


def test_nothing_is_imported_before_the_first_question(room: Path) -> None:
    add(room, "late", "l", 1)
    registry = registry_of(room)
    assert f"{room.name}.late" not in sys.modules
    assert registry.get("l") == 1
    assert f"{room.name}.late" in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest(room: Path) -> None:
    for name in ("vanilla", "dcgan28", "dcgan64"):
        add(room, name, name, 0)
    registry = registry_of(room)
    with pytest.raises(InputError, match=r"unknown thing 'dcgan': did you mean dcgan\d\d or dcgan\d\d\?"):
        registry.get("dcgan")
    with pytest.raises(InputError, match="unknown thing 'xyz': known: dcgan28, dcgan64, vanilla"):
        registry.get("xyz")


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("thing", "none", "none")
    registry.register("a")(1)
    with pytest.raises(InputError, match="thing 'a' is registered twice"):
        registry.register("a")(2)


def test_a_broken_file_is_told_at_every_question(room: Path) -> None:
    add(room, "ape", "a", 1)
    (room / "broken.py").write_text("import no_such_module_anywhere")
    add(room, "zebra", "z", 2)
    registry = registry_of(room)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            registry.names()


def entry_points(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    def fake(group: str) -> list[importlib.metadata.EntryPoint]:
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in entries]

    monkeypatch.setattr(importlib.metadata, "entry_points", fake)


def test_another_distribution_adds_through_an_entry_point(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_thing.py").write_text(
        f"from {room.name}.base import things\nthings.register('theirs')(7)\nvalue = 7\n"
    )
    entry_points(monkeypatch, ("theirs", "their_thing:value"))
    assert registry_of(room).get("theirs") == 7


def test_a_plugin_that_can_not_be_loaded_or_registers_nothing_is_named(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_points(monkeypatch, ("theirs", "no_such_module_anywhere"))
    with pytest.raises(InputError, match="thing 'theirs': its plugin no_such_module_anywhere can't be loaded"):
        registry_of(room).names()
    entry_points(monkeypatch, ("theirs", "json"))
    with pytest.raises(InputError, match="registers nothing of that name"):
        registry_of(room).names()
