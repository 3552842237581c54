"""No file that somebody sends can run code: what could run some is nowhere called in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gan_bench

PACKAGE = Path(gan_bench.__file__).parent
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "literal_eval", "system", "popen"}
PLUGINS = {"registry.py": "exec_module"}
"""The one place that runs a file, because its name was typed after --plugin."""
PUBLISHED_WEIGHTS = "inception.py"
"""The weights that most papers use are published as a pickle only: it is checked against its known sum when it is
downloaded, read with weights_only, and handed on in memory. Its own error type is all that is imported."""


def faults(source: str, file: str = "") -> list[str]:
    found: list[str] = []
    if file == PUBLISHED_WEIGHTS:
        assert "weights_only=True" in source
        assert "pickle.load" not in source
        source = source.replace("import pickle", "").replace(
            "torch.load(path, map_location", "read(path, map_location"
        )
        source = source.replace("torch.save(weights, buffer)", "")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_IMPORTS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _call_fault(node, file)
    return found


def _call_fault(node: ast.Call, file: str) -> list[str]:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    bare = isinstance(function, ast.Name) or owner in ("os", "builtins", "pd", "pandas")
    if name in FORBIDDEN_CALLS and bare:
        return [f"{owner}.{name}"]
    if owner == "torch" and name in ("load", "save"):
        return [f"torch.{name}"]
    if owner in ("np", "numpy") and name == "load" and arguments.get("allow_pickle") != "False":
        return ["np.load without allow_pickle=False"]
    if name == "exec_module" and PLUGINS.get(file) != name:
        return ["exec_module"]
    if arguments.get("shell") == "True":
        return ["shell=True"]
    return []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_can_be_run(path: Path) -> None:
    assert faults(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(path)", "eval(text)",
        "pd.read_pickle(path)", "subprocess.run(text, shell=True)", "spec.loader.exec_module(module)",
        "torch.load(path, weights_only=True)", "os.system(text)",
    ],
)  # fmt: skip
def test_the_check_finds_what_it_is_for(line: str) -> None:
    assert faults(line)
