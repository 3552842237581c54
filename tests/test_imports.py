"""The order of the packages, from the syntax tree of every file; import cycles; modules loaded by each start."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gan_bench
import gan_bench.plugins
from gan_bench.core.registry import Registry

PACKAGE = Path(gan_bench.__file__).parent

COMPONENTS = {"models", "losses", "penalties", "data"}
ALLOWED: Mapping[str, set[str]] = {
    "_version": set(),
    "core": {"_version"},
    "devices": {"core"},
    **{name: {"core", "devices"} for name in sorted(COMPONENTS)},
    "training": {"core", "devices", *COMPONENTS},
    "metrics": {"core", "devices", "data"},
    "store": {"_version", "core"},
    "report": {"_version", "core"},
    "runner": {"_version", "core", "devices", *COMPONENTS, "training", "metrics", "store", "report"},
    "plugins": {"core", "devices", *COMPONENTS, "training", "metrics", "store", "report", "runner"},
    "api": {"core", "devices", *COMPONENTS, "training", "metrics", "store", "report", "runner"},
    "cli": {"_version", "core", "devices", *COMPONENTS, "training", "metrics", "store", "report", "runner", "api"},
}
"""What each package may import besides itself, in the order of the packages: from the bottom to the top."""
WITHOUT_TORCH = {"_version", "core", "store", "report"}
STARTS = {"__init__", "__main__"}
"""The package resolves public names when they are used; `python -m gan_bench` starts the command line."""

ALL_FILES = sorted(PACKAGE.rglob("*.py"))
FILES = [path for path in ALL_FILES if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in STARTS]


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    return ".".join(["gan_bench", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports: `from gan_bench import x` counts as gan_bench.x."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(source: str) -> Iterator[str]:
    """Every imported module, at any level of the file."""
    for node in ast.walk(ast.parse(source)):
        yield from imported(node)


def module_level_imports(source: str) -> Iterator[str]:
    """The modules imported while the module itself is imported: not in functions, not for type checkers only."""
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        yield from imported(node)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def fault(package: str, module: str) -> str:
    """Why a file of `package` may not import `module`; empty if it may."""
    root, _, rest = module.partition(".")
    target = rest.partition(".")[0]
    if root != "gan_bench":
        torch_free = package in WITHOUT_TORCH and root.startswith("torch")
        return f"{package} imports {module}, but must not need torch" if torch_free else ""
    if target == package or target in ALLOWED[package]:
        return ""
    if target not in ALLOWED:
        return f"{package} imports {module}, which is not in the order of packages"
    return f"{package} imports {module}: it may import {', '.join(sorted(ALLOWED[package])) or 'nothing'}"


def find_cycle(sources: Mapping[str, str]) -> list[str]:
    """A cycle of module-level imports, as module names; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        targets = {name if name in sources else name.rpartition(".")[0] for name in module_level_imports(source)}
        graph[module] = targets & sources.keys()
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_package_is_in_the_order() -> None:
    assert {package_of(path) for path in FILES} == set(ALLOWED)


def test_the_order_allows_imports_downward_only() -> None:
    order = list(ALLOWED)
    for package, allowed in ALLOWED.items():
        assert allowed <= set(order[: order.index(package)]), package
    for neighbours in (COMPONENTS, {"training", "metrics"}, {"store", "report"}, {"plugins", "api"}):
        assert all(not ALLOWED[package] & neighbours for package in neighbours)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    faults = [fault(package_of(path), module) for module in imports(path.read_text())]
    assert not any(faults), "; ".join(filter(None, faults))


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("core", "from torch import Tensor"),
        ("core", "def f():\n    import torch"),
        ("core", "from gan_bench.devices import numerics"),
        ("devices", "from gan_bench.data.batch import Batch"),
        ("models", "from gan_bench.training.trainer import Trainer"),
        ("models", "import gan_bench.losses.bce"),
        ("losses", "from gan_bench.penalties.base import Penalty"),
        ("data", "from gan_bench.models.base import Model"),
        ("training", "from gan_bench import metrics"),
        ("metrics", "def f():\n    from gan_bench.training import step"),
        ("metrics", "from gan_bench.models.base import Model"),
        ("report", "if TYPE_CHECKING:\n    from gan_bench.store.store import Store"),
        ("report", "def f():\n    import torch.nn as nn"),
        ("store", "from gan_bench.devices import select"),
        ("store", "import torchvision"),
        ("runner", "from gan_bench.api import run"),
        ("api", "from gan_bench.cli import main"),
        ("api", "from gan_bench.plugins import Model"),
        ("cli", "from gan_bench.elsewhere import x"),
    ],
)
def test_an_import_that_breaks_the_order_is_found(package: str, line: str) -> None:
    assert any(fault(package, module) for module in imports(line))


def test_modules_import_each_other_without_cycles() -> None:
    cycle = find_cycle({module_name(path): path.read_text() for path in ALL_FILES})
    assert not cycle, " -> ".join(cycle)


@pytest.mark.parametrize(
    ("line", "cyclic"),
    [
        ("from p.a import x", True),
        ("import p.a", True),
        ("from p import a", True),
        ("try:\n    from p import a\nexcept ImportError:\n    pass", True),
        ("class B:\n    from p.a import x", True),
        ("def f():\n    from p.a import x", False),
        ("if TYPE_CHECKING:\n    from p.a import x", False),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    from p.a import x", True),
        ("from p import other", False),
    ],
)
def test_an_import_cycle_is_found(line: str, cyclic: bool) -> None:
    assert bool(find_cycle({"p": "", "p.a": "from p.b import B", "p.b": line, "p.other": ""})) == cyclic


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a new interpreter has loaded after `code`."""
    show = "import sys; print('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


CLUSTER_LIBRARIES = {"submitit", "ray", "dask", "distributed", "parsl", "kubernetes"}


@pytest.mark.parametrize(
    "code",
    [
        "import gan_bench; gan_bench.InputError, gan_bench.Matrix, gan_bench.Options, gan_bench.EvaluationSpec",
        "import gan_bench.cli",
        "from gan_bench.cli import main\nmain(['--help'], standalone_mode=False)",
        "from gan_bench.cli import main\nmain(['run', '--help'], standalone_mode=False)",
        "from gan_bench.cli import main\nmain(['report', '--help'], standalone_mode=False)",
        "import gan_bench.report.write_report",
        "import gan_bench.store.store, gan_bench.runner.executors.local",
    ],
)
def test_help_report_and_store_load_no_torch(code: str) -> None:
    assert not {"torch", "torchvision", "torch_fidelity", *CLUSTER_LIBRARIES} & loaded_by(code)


def test_no_module_of_core_store_and_report_loads_torch() -> None:
    modules = [module_name(path) for path in FILES if package_of(path) in WITHOUT_TORCH]
    assert len(modules) > 30
    assert not {"torch", "torchvision", "torch_fidelity"} & loaded_by(f"import {', '.join(modules)}")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["eval", "--help"], ["show", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    heavy = {"torch", "numpy", "pandas", "matplotlib", "scipy", "sklearn", "PIL", "pydantic", "rich"}
    assert not heavy & loaded_by(f"from gan_bench.cli import main\nmain({arguments}, standalone_mode=False)")


def test_public_names_resolve() -> None:
    for name in gan_bench.__all__:
        assert getattr(gan_bench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gan_bench.trian  # no such name


def test_plugin_names_resolve() -> None:
    names = gan_bench.plugins.__all__
    assert names == sorted(set(names))
    for name in names:
        assert getattr(gan_bench.plugins, name) is not None
    assert {"Model", "Recipe", "Loss", "Penalty", "Dataset", "Metric", "Extractor", "Executor", "plot"} <= set(
        names
    )
    registries = {name for name in names if isinstance(getattr(gan_bench.plugins, name), Registry)}
    assert registries == {
        "models", "losses", "penalties", "datasets", "metrics", "extractors", "plots", "executors"
    }  # fmt: skip
