"""No received file can run code: every file that is read is replaced by a pickle bomb, and none is unpickled."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import kept_results

import gan_bench as gb
from gan_bench.cli import main
from gan_bench.core.errors import InputError, ReadError, RunError
from gan_bench.core.events import ignore_events
from gan_bench.core.records import StoredRun
from gan_bench.metrics.extractors import dataset_cnn, inception
from gan_bench.metrics.extractors.classifier_training import ClassifierRecipe
from gan_bench.report import write_report
from gan_bench.store import verify
from gan_bench.store.store import Store

PACKAGE = Path(gb.__file__).parent


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, (os.environ["BOMB"], 0o777, True)


def _pickled() -> bytes:
    return pickle.dumps(Bomb())


def _torch(**options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"features": Bomb(), "g.params.0.weight": Bomb()}, buffer, **options)
    return buffer.getvalue()


def _numpy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


KINDS: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
    "pickle": (_pickled, pickle.loads),
    "torch": (_torch, lambda data: torch.load(io.BytesIO(data), weights_only=False)),
    "old torch": (
        lambda: _torch(_use_new_zipfile_serialization=False),
        lambda data: torch.load(io.BytesIO(data), weights_only=False),
    ),
    "numpy": (_numpy, lambda data: np.load(io.BytesIO(data), allow_pickle=True)),
}
"""How each kind of bomb is made, and a call that unpickles it."""
unpickled: list[str] = []
listening: list[bool] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if listening and event == "pickle.find_class":
        unpickled.append(str(arguments))


sys.addaudithook(_audit)  # hooks can't be removed


@pytest.fixture
def exploded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a bomb creates when it is unpickled."""
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    return tmp_path / "exploded"


@pytest.fixture
def nothing_unpickled(exploded: Path) -> Iterator[None]:
    """Assert that nothing is unpickled in the test."""
    unpickled.clear()
    listening.append(True)
    try:
        yield
    finally:
        listening.clear()
    assert not exploded.exists()
    assert unpickled == []


@pytest.fixture
def short_extractor_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_cnn, "SMALL", ClassifierRecipe(epochs=1, batch_size=256))


@pytest.mark.parametrize("kind", KINDS)
def test_the_bombs_work(exploded: Path, kind: str) -> None:
    make, load = KINDS[kind]
    listening.append(True)
    load(make())
    listening.clear()
    assert exploded.exists()
    assert kind == "numpy" or unpickled or "torch" in kind


def read_everything(out: Path, cache: Path, tmp_path: Path) -> None:
    """Call everything that reads a results folder; errors are allowed."""

    def stored() -> list[StoredRun]:
        return Store.open(out, create=False, on_event=ignore_events).runs()

    def weights() -> None:
        store = Store.open(out, create=False, on_event=ignore_events)
        for spec in [*(run.spec for run in store.runs()), *store.unfinished()]:
            store.weights(spec, "last")
            store.weights(spec, "best")

    for read in (
        weights,
        lambda: write_report.write_files(stored(), out / "report"),
        lambda: gb.load_results(out),
        lambda: verify.repair(out, verify.inspect(out)),
        lambda: kept_results.same_command(out, cache).run(),
    ):
        with contextlib.suppress(RunError, InputError):
            read()
    run = kept_results.run_folder(out, kept_results.DONE).name
    for arguments in (
        ["status", str(out)],
        ["compare", "vanilla", "vanilla", str(out)],
        ["eval", run, "--out", str(out), "--eval-samples", "150", "--offline"],
        ["sample", run, "--dir", str(out), "--n", "1", "--out", str(tmp_path / "x.png")],
        ["doctor", "--results", str(out)],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code in (0, 1, 2), result
        assert "defect" not in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_unpickled")
def test_no_file_of_a_results_folder_is_unpickled(
    kept: Path, score_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_report, "render_plots", kept_results.read_pictures_only)
    monkeypatch.setenv("XDG_CACHE_HOME", str(score_cache.parents[1]))
    names = [name for name in kept_results.names(kept) if (kept / name).is_file()]
    assert len(names) > 35, "the folder has fewer files than before"
    written = [name for name in names if name.parts[0] == "report"]  # never read: all are bombs at once
    read = [name for name in names if name not in written]
    binary = [[name for name in read if name.suffix == suffix] for suffix in (".safetensors", ".png")]
    cases = [("pickle", [name]) for name in read]
    cases += [(kind, some) for kind in KINDS for some in (written, *binary)]
    for kind, some in cases:
        out = tmp_path / "out"
        shutil.copytree(kept, out)
        for sums in out.glob("runs/*/SHA256SUMS"):
            sums.unlink()  # an attacker sends sums that match, or none
        for name in some:
            (out / name).write_bytes(KINDS[kind][0]())
        read_everything(out, score_cache, tmp_path)
        assert not Path(os.environ["BOMB"]).exists(), (some, kind)
        shutil.rmtree(out)


@pytest.mark.usefixtures("nothing_unpickled")
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_the_cache_is_unpickled(
    score_cache: Path, tmp_path: Path, short_extractor_training: None, kind: str
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(score_cache, cache, ignore=shutil.ignore_patterns(".*"))  # other tests write to it meanwhile
    names = sorted(path.relative_to(cache) for path in cache.rglob("*") if path.is_file())
    assert {name.suffix for name in names} == {".safetensors"}
    for name in names:
        (cache / name).write_bytes(KINDS[kind][0]())
    (record,) = kept_results.make_trial(tmp_path / "new", cache, epochs=1).run()
    assert record.succeeded, "damaged files are computed again"


@pytest.mark.usefixtures("nothing_unpickled")
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "kmnist", "emnist-digits", "cifar10", "svhn"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_of_a_data_root_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, kind: str
) -> None:
    from gan_bench.data import archive_search, archives
    from gan_bench.data.base import datasets

    monkeypatch.setattr(archives, "SYSTEM_FOLDERS", {})
    source = datasets.get(dataset)
    assert isinstance(source, archives.Archives)
    source.folder(tmp_path).mkdir(parents=True, exist_ok=True)
    for name, _ in source.resources():
        (source.folder(tmp_path) / name).write_bytes(KINDS[kind][0]())
    with pytest.raises(InputError, match="damaged"):
        source.load(tmp_path, offline=True, on_event=ignore_events)
    sums = dict(source.resources())
    monkeypatch.setattr(archive_search, "file_md5", lambda path: sums[path.name])  # even with the right checksum
    with pytest.raises(InputError):
        source.load(tmp_path, offline=True, on_event=ignore_events)


@pytest.mark.usefixtures("nothing_unpickled")
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_weights_file_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """Not even passed to torch: its own protection (weights_only) was circumvented twice."""
    path = tmp_path / name
    path.write_bytes(KINDS[kind][0]())
    monkeypatch.setenv(inception.VARIABLE, str(path))
    monkeypatch.setattr(torch, "load", lambda *given, **options: pytest.fail("the file was passed to torch"))
    with pytest.raises(ReadError):
        inception.read_weights(inception.weights_path())


@pytest.mark.usefixtures("nothing_unpickled")
@pytest.mark.parametrize("kind", KINDS)
def test_no_matrix_file_is_unpickled(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_bytes(KINDS[kind][0]())
    result = CliRunner().invoke(main, ["run", "--matrix", str(file)])
    assert (result.exit_code, "not valid TOML" in result.output) == (2, True), result.output


def test_only_the_owner_has_access_to_the_cache(tmp_path: Path, short_extractor_training: None) -> None:
    """Whatever the umask, and where others could read an existing folder. One they can write to is not used."""
    cache = tmp_path / "cache"
    (cache / "extractors").mkdir(parents=True)
    cache.chmod(0o755)
    (cache / "extractors").chmod(0o755)
    before = os.umask(0)
    try:
        kept_results.make_trial(tmp_path / "out", cache, epochs=1).run()
    finally:
        os.umask(before)
    found = [cache, *cache.rglob("*")]
    assert len(found) > 4
    assert {oct(path.stat().st_mode & 0o077) for path in found} == {"0o0"}


FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "literal_eval", "system", "popen"}
ALLOWED = {
    "registry.py": {"exec_module"},
    "inception.py": {"pickle", "torch.load", "torch.save"},
}
"""Files named with --plugin are executed. The published weights, whose hash is verified first, are unpickled
(weights_only) and passed on in memory; errors of that are caught by their type."""


def faults(source: str, file: str = "") -> list[str]:
    """Return the imports and calls in a source text that could execute what they read."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_IMPORTS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _call_fault(node)
    return [fault for fault in found if fault not in ALLOWED.get(file, set())]


def _call_fault(node: ast.Call) -> list[str]:
    function = node.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    bare = isinstance(function, ast.Name) or owner in ("os", "builtins", "pd", "pandas")
    if name in FORBIDDEN_CALLS and bare:
        return [f"{owner}.{name}"]
    if owner == "pickle" or (owner == "torch" and name in ("load", "save")):
        return [f"{owner}.{name}"]
    if owner in ("np", "numpy") and name == "load" and arguments.get("allow_pickle") != "False":
        return ["np.load without allow_pickle=False"]
    if name == "exec_module":
        return ["exec_module"]
    if arguments.get("shell") == "True":
        return ["shell=True"]
    return []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_executes_what_it_reads(path: Path) -> None:
    assert faults(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(path)", "eval(text)",
        "pd.read_pickle(path)", "subprocess.run(text, shell=True)", "spec.loader.exec_module(module)",
        "torch.load(path, weights_only=True)", "os.system(text)", "pickle.loads(data)",
    ],
)  # fmt: skip
def test_forbidden_imports_and_calls_are_found(line: str) -> None:
    assert faults(line)
