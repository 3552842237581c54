"""The layers of the package, by the syntax tree of every file; and what is loaded when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gan_bench

PACKAGE = Path(gan_bench.__file__).parent

FIRST = {"errors", "reason", "grids", "interruption", "registry", "spec", "parsing", "matrix", "record"}
LAYERS = [
    {"_version"},
    FIRST,
    {"models", "losses", "data", "environment"},
    {"training", "metrics"},
    {"lane", "place"},
    {"pipeline"},
    {"execution", "store", "report"},
    {"session", "planning", "lane_choice"},
    {"benchmark"},
    {"cli"},
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
ONLY_FIRST = {"execution", "store", "report"}
"""Rooms that know of the package no more than layer 1: they are handed whatever else they need."""
DOORS = {"__init__", "__main__"}
"""The package's own door hands on public names when they are used; `python -m` opens the command line."""

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0][:-3] not in DOORS)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(source: str) -> Iterator[str]:
    """Every imported module, wherever in the file: `from gan_bench import x` counts as gan_bench.x."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def fault(room: str, module: str) -> str:
    """Why a file of `room` may not import `module`; empty if it may."""
    package, _, rest = module.partition(".")
    target = rest.partition(".")[0]
    if package != "gan_bench":
        return f"{room} loads torch" if package.startswith("torch") and LAYER[room] == 1 else ""
    if target == room:
        return ""
    if target not in LAYER:
        return f"{room} imports {module}, which is in no layer"
    if room in ONLY_FIRST and LAYER[target] > 1:
        return f"{room} imports {module}: of the package it may know layer 1 only"
    if LAYER[target] > LAYER[room]:
        return f"{room} imports {module}, from a layer above"
    if LAYER[target] == LAYER[room] != 1:
        return f"{room} imports {module}, its neighbour"
    return ""


def test_every_file_has_a_room() -> None:
    assert {room_of(path) for path in FILES} == set(LAYER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    faults = [fault(room_of(path), module) for module in imports(path.read_text())]
    assert not any(faults), "; ".join(filter(None, faults))


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("models", "from gan_bench.training.trainer import Trainer"),
        ("models", "import gan_bench.losses.bce"),
        ("training", "from gan_bench import metrics"),
        ("metrics", "def f():\n    from gan_bench.training import step"),
        ("report", "if TYPE_CHECKING:\n    from gan_bench.store.store import Store"),
        ("store", "from gan_bench import environment"),
        ("pipeline", "from gan_bench.store.store import Store"),
        ("spec", "from torch import Tensor"),
        ("benchmark", "from gan_bench.cli import main"),
    ],
)
def test_the_check_finds_what_it_is_for(room: str, line: str) -> None:
    assert any(fault(room, module) for module in imports(line))


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded once `code` ran."""
    told = "import sys; print('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{told}"], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import gan_bench; gan_bench.InputError, gan_bench.Matrix, gan_bench.Options",
        "import gan_bench.cli",
        "from gan_bench.cli import main\nmain(['--help'], standalone_mode=False)",
        "from gan_bench.cli import main\nmain(['run', '--help'], standalone_mode=False)",
        "import gan_bench.report.report",
        "import gan_bench.store.store, gan_bench.execution.local",
    ],
)
def test_torch_is_loaded_only_to_train(code: str) -> None:
    assert not {"torch", "torchvision", "torch_fidelity"} & loaded_by(code)


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pandas", "matplotlib", "scipy", "sklearn"}
    assert not heavy & loaded_by("from gan_bench.cli import main\nmain(['--help'], standalone_mode=False)")


def test_public_names_resolve() -> None:
    for name in gan_bench.__all__:
        assert getattr(gan_bench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gan_bench.trian  # a name that is not there
