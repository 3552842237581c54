"""No file that somebody sends can run code: every file that is read is replaced by a bomb, and none goes off."""

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

import kept_results
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import gan_bench as gb
from gan_bench.cli import main
from gan_bench.errors import InputError, RunError
from gan_bench.metrics.extractors import inception
from gan_bench.record import StoredRun
from gan_bench.report import report
from gan_bench.store import inspection
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
"""How each kind of bomb is made, and what it goes off in."""
unpickled: list[str] = []
listening: list[bool] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if listening and event == "pickle.find_class":
        unpickled.append(str(arguments))


sys.addaudithook(_hear)  # for good: hooks can't be taken out


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a bomb makes when it goes off."""
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    return tmp_path / "exploded"


@pytest.fixture
def nothing_runs(mark: Path) -> Iterator[None]:
    """No bomb goes off in the test, and nothing at all is unpickled."""
    unpickled.clear()
    listening.append(True)
    try:
        yield
    finally:
        listening.clear()
    assert not mark.exists()
    assert unpickled == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_bombs_are_live(mark: Path, kind: str) -> None:
    make, load = KINDS[kind]
    listening.append(True)
    load(make())
    listening.clear()
    assert mark.exists()
    assert kind == "numpy" or unpickled or "torch" in kind


def read_everything(out: Path, cache: Path, tmp_path: Path) -> None:
    """Everything that reads a results folder, whether it likes what it finds or not."""

    def stored() -> list[StoredRun]:
        return Store.open(out, create=False, notify=lambda text: None).runs()

    def weights() -> None:
        store = Store.open(out, create=False, notify=lambda text: None)
        for spec in [*(run.spec for run in store.runs()), *store.unfinished()]:
            store.weights(spec, "last")
            store.weights(spec, "best")

    for read in (
        weights,
        lambda: report.write_report(stored(), out / "report"),
        lambda: gb.load_results(out),
        lambda: inspection.repair(out, inspection.inspect(out)),
        lambda: kept_results.again(out, cache).run(),
    ):
        with contextlib.suppress(RunError, InputError):
            read()
    run = kept_results.run_folder(out, kept_results.DONE).name
    for arguments in (
        ["status", str(out)],
        ["compare", "vanilla", "vanilla", str(out)],
        ["sample", run, "--dir", str(out), "--n", "1", "--out", str(tmp_path / "x.png")],
        ["doctor", "--results", str(out)],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code in (0, 1, 2), result
        assert "defect" not in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_runs")
def test_no_bomb_in_a_results_folder_goes_off(
    kept: Path, score_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "draw_all", kept_results.look_at_pictures)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    names = [name for name in kept_results.names(kept) if (kept / name).is_file()]
    assert len(names) > 40, "the folder has lost files: this test would prove less"
    written = [name for name in names if name.parts[0] == "report"]  # and never read: all are bombs at once
    read = [name for name in names if name not in written]
    binary = [[name for name in read if name.suffix == suffix] for suffix in (".safetensors", ".png")]
    cases = [("pickle", [name]) for name in read]
    cases += [(kind, some) for kind in KINDS for some in (written, *binary)]
    for kind, some in cases:
        out = tmp_path / "out"
        shutil.copytree(kept, out)
        for sums in out.glob("runs/*/SHA256SUMS"):
            sums.unlink()  # who sends a folder sends sums that fit, or none
        for name in some:
            (out / name).write_bytes(KINDS[kind][0]())
        read_everything(out, score_cache, tmp_path)
        assert not Path(os.environ["BOMB"]).exists(), (some, kind)
        shutil.rmtree(out)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("kind", KINDS)
def test_no_bomb_in_the_cache_goes_off(kept: Path, score_cache: Path, tmp_path: Path, kind: str) -> None:
    names = sorted(path.relative_to(score_cache) for path in score_cache.rglob("*") if path.is_file())
    assert {name.suffix for name in names} == {".safetensors", ".json"}
    cache = tmp_path / "cache"
    shutil.copytree(score_cache, cache)
    for name in names:
        (cache / name).write_bytes(KINDS[kind][0]())
    (record,) = kept_results.Trial(tmp_path / "new", cache, {**kept_results.KNOWN, "epochs": 1}, {}).run()
    assert record.status == "done", "it is worked out again"


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "kmnist", "emnist-digits"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_bomb_in_a_data_root_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, kind: str
) -> None:
    from gan_bench.data import archives
    from gan_bench.data.dataset import datasets

    source = datasets.get(dataset)
    assert isinstance(source, archives.MnistArchives)
    source.folder(tmp_path).mkdir(parents=True)
    for name, _ in source.resources():
        (source.folder(tmp_path) / name).write_bytes(KINDS[kind][0]())
    with pytest.raises(InputError, match="is damaged"):
        source.load(tmp_path, offline=True, notify=print)
    sums = dict(source.resources())
    monkeypatch.setattr(archives, "file_md5", lambda path: sums[path.name])  # even if it had the right sum
    with pytest.raises(InputError):
        source.load(tmp_path, offline=True, notify=print)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_bomb_in_weights_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """Not even looked at: that torch's own care (weights_only) was got round twice must not matter."""
    path = tmp_path / name
    path.write_bytes(KINDS[kind][0]())
    monkeypatch.setenv(inception.VARIABLE, str(path))
    monkeypatch.setattr(torch, "load", lambda *given, **options: pytest.fail("torch was handed the file"))
    with pytest.raises((ValueError, inception.SafetensorError)):
        inception.read_weights(inception.weights_path())


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("kind", KINDS)
def test_no_bomb_in_a_matrix_goes_off(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_bytes(KINDS[kind][0]())
    result = CliRunner().invoke(main, ["run", "--matrix", str(file)])
    assert (result.exit_code, "it is no TOML" in result.output) == (2, True), result.output


def test_the_cache_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask, and however a folder of that name was left there."""
    cache = tmp_path / "cache"
    (cache / "extractors").mkdir(parents=True)
    cache.chmod(0o777)
    (cache / "extractors").chmod(0o777)
    before = os.umask(0)
    try:
        kept_results.Trial(tmp_path / "out", cache, {"epochs": 1}, {}).run()
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
"""What is named after --plugin is run; and the published weights, which are known by their hash before they are
read, are unpickled (weights_only), handed on in memory, and what can go wrong in that is caught by its type."""


def faults(source: str, file: str = "") -> list[str]:
    """What in a source text could run what it reads."""
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
def test_nothing_that_is_read_can_be_run(path: Path) -> None:
    assert faults(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(path)", "eval(text)",
        "pd.read_pickle(path)", "subprocess.run(text, shell=True)", "spec.loader.exec_module(module)",
        "torch.load(path, weights_only=True)", "os.system(text)", "pickle.loads(data)",
    ],
)  # fmt: skip
def test_the_check_finds_what_it_is_for(line: str) -> None:
    assert faults(line)
