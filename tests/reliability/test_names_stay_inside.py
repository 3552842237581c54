"""Names and links: nothing that a folder or a user says reaches a file outside the results folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import kept_results
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

import gan_bench as gb
from gan_bench.cli import main
from gan_bench.errors import InputError, RunError
from gan_bench.losses.loss import losses
from gan_bench.metrics.metric import SPELLINGS, metrics
from gan_bench.models.model import aliases, models
from gan_bench.registry import Registry, load_plugins
from gan_bench.report import report
from gan_bench.report.pictures import epoch_grids, read_grid
from gan_bench.spec import EvalProtocol, RunSpec
from gan_bench.store import inspection
from gan_bench.store.folder import RunFolder
from gan_bench.store.store import Store

PARTS = (
    "..", ".", "/", "\\", "~", "%2e%2e%2f", "C:", "con", "nul.txt", "aux", "\0", "\n", " ", "-rf", "$(id)", "`id`",
    "\u202e", "\uff0e\uff0e\uff0f", "e\u0301", "\U0001f600", "runs", "vanilla", "a" * 64, "b" * 5000,
)  # fmt: skip
NAMES = st.one_of(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("".join), st.text(max_size=80))
SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""The promise, written down a second time."""


def hostile(test: Callable[..., None]) -> Callable[..., None]:
    """Try 300 names, these among them."""
    for name in (
        "../x",
        "..",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:\\x",
        "a\0b",
        "\u00e9",
        "vanilla\n",
        "",
        ".",
        "a" * 65,
    ):
        test = example(name=name)(test)
    return settings(max_examples=300, deadline=None)(given(name=NAMES)(test))


@hostile
def test_a_name_is_registered_or_refused(name: str) -> None:
    registry: Registry[int] = Registry("thing", "gan_bench.losses", "gan_bench.losses")
    if SAFE.fullmatch(name):
        assert registry.register(name)(1) == 1
    else:
        with pytest.raises(InputError, match="is not allowed"):
            registry.register(name)


@hostile
def test_a_run_id_is_a_folder_in_the_runs_or_refused(name: str) -> None:
    runs = Path("/nowhere/runs")
    if SAFE.fullmatch(name):
        assert RunFolder(runs, name).path.resolve().parent == runs
    else:
        with pytest.raises(InputError, match="is not allowed"):
            RunFolder(runs, name)


@hostile
def test_a_spec_or_a_protocol_with_another_name_is_refused(name: str) -> None:
    spec = {
        "model": "m", "loss": "l", "dataset": "d", "image_size": 28, "channels": 1, "seed": 0, "lr_g": 1,
        "lr_d": 1, "batch_size": 1, "epochs": 1, "settings": {}, "evaluation": {},
    }  # fmt: skip
    protocol = {
        "dataset": "d", "dataset_sha256": "", "reference_split": "test", "n_real": 1, "n_fake": 1,
        "extractor": "e", "extractor_sha256": "", "resize": "", "seed": 0, "torch_fidelity_version": "",
    }  # fmt: skip
    RunSpec.model_validate(spec)
    EvalProtocol.model_validate(protocol)
    hostile_specs = [{**spec, key: name} for key in ("model", "loss", "dataset")]
    hostile_specs += [{**spec, "evaluation": {key: [name]}} for key in ("metrics", "extractors")]
    for values in hostile_specs:
        if SAFE.fullmatch(name):
            assert SAFE.fullmatch(RunSpec.model_validate(values).run_id)
        else:
            with pytest.raises(ValidationError):
                RunSpec.model_validate(values)
    for key in ("dataset", "extractor"):
        if not SAFE.fullmatch(name):
            with pytest.raises(ValidationError):
                EvalProtocol.model_validate({**protocol, key: name})
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        with pytest.raises(ValidationError):
            RunSpec.model_validate({**spec, "settings": {name: 1}})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Path:
    """A results folder in a folder of its own, so that whatever is made beside it is seen."""
    out = tmp_path_factory.mktemp("beside") / "out"
    shutil.copytree(kept, out)
    return out


def is_right(what: str, name: str, out: Path) -> bool:
    """Whether nothing is wrong with what was typed: whoever tries thousands of names hits on true ones, too."""
    known: dict[str, set[str]] = {
        "models": {*models, *aliases()},
        "show": {*models, *aliases()},
        "compare": {*models},
        "losses": {*losses},
        "metrics": {*metrics, *SPELLINGS},
    }
    parts = {part.strip().lower() for part in name.split(",")} - {""}
    if what in known:
        return parts <= known[what]
    if what == "sample":
        return any(folder.name.startswith(name.strip()) for folder in (out / "runs").iterdir())
    return not name.strip() or os.path.exists(os.path.expanduser(name.strip()))  # noqa: PTH110, PTH111


@hostile
def test_the_command_line_refuses_them_with_one_line(small: Path, name: str) -> None:
    before = sorted(small.parent.rglob("*"))
    offline = ["--offline", "--dataset", "synthetic", "--preset", "smoke", "--dry-run", "--out", str(small)]
    typed = {
        "models": ["run", "--models", name, *offline],
        "losses": ["run", "--models", "vanilla", "--losses", name, *offline],
        "metrics": ["run", "--models", "vanilla", "--metrics", name, *offline],
        "plugin": ["run", "--models", "vanilla", "--plugin", name, *offline],
        "show": ["show", "--", name],
        "sample": ["sample", "--dir", str(small), "--out", str(small.parent / "x.png"), "--", name],
        "compare": ["compare", "--", name, name, str(small)],
        "status": ["status", "--", name],
        "report": ["report", "--", name],
        "doctor": ["doctor", f"--results={name}"],
    }
    if "\0" in name:  # no command line can hold it
        return
    for what, arguments in typed.items():
        if is_right(what, name, small):
            continue
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, (what, result.output, result.exception)
        assert "Traceback" not in result.output
        assert "defect" not in result.output
    assert sorted(small.parent.rglob("*")) == before


@hostile
def test_a_matrix_file_cannot_name_what_a_path_cannot_be(
    small: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """In a file a path may hold what no command line can: a zero byte."""
    name = f"{name}\0"
    file = tmp_path_factory.getbasetemp() / "matrix.toml"
    quoted = "".join(f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}" for sign in name)
    for key in ("out", "data-root", "plugin"):
        file.write_text(f'models = "vanilla"\n{key} = "{quoted}"\n')
        result = CliRunner().invoke(main, ["run", "--matrix", str(file), "--dataset", "synthetic", "--dry-run"])
        assert result.exit_code == 2, (key, result.output)
        assert "defect" not in result.output


@pytest.mark.parametrize("length", [64, 255, 256, 5000])
@pytest.mark.parametrize("option", ["--out", "--data-root", "--plugin", "--matrix"])
def test_paths_too_long_for_the_system_are_bad_input(tmp_path: Path, option: str, length: int) -> None:
    path = tmp_path / ("x" * length)
    asked = ["run", "--models", "vanilla", "--dataset", "mnist", "--offline", "--dry-run", option, str(path)]
    result = CliRunner().invoke(main, asked, env={"GAN_BENCH_DATA": str(tmp_path)})
    assert result.exit_code == 2, result.output
    assert "defect" not in result.output
    assert list(tmp_path.iterdir()) == []


class Copy:
    """A copy of the results folder, and a folder outside of it that a link may lead to."""

    def __init__(self, tmp_path: Path, kept: Path) -> None:
        self.out, self.outside = tmp_path / "out", tmp_path.parent / f"{tmp_path.name}-outside"
        shutil.copytree(kept, self.out)
        shutil.copytree(kept, self.outside)
        self.before = self.contents()

    def contents(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.outside.rglob("*") if path.is_file()}

    def link(self, name: Path) -> None:
        """Replace a file or folder by a link to its twin outside."""
        path = self.out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(self.outside / name)

    def use(self, cache: Path) -> list[str]:
        """Do all that reads or writes the folder; return what was said."""
        said: list[str] = []
        for use in (
            lambda: said.append(str(len(Store.open(self.out, create=False, notify=said.append).runs()))),
            lambda: report.write_report(
                Store.open(self.out, create=False, notify=said.append).runs(), self.out / "report"
            ),
            lambda: inspection.repair(self.out, inspection.inspect(self.out)),
            lambda: kept_results.again(self.out, cache).run(),
            lambda: gb.load_results(self.out),
        ):
            try:
                use()
            except (InputError, RunError) as error:
                said.append(str(error))
        return said


@pytest.fixture
def copy(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    monkeypatch.setattr(report, "draw_all", kept_results.look_at_pictures)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Copy(tmp_path, kept)


@pytest.mark.slow
@pytest.mark.usefixtures("copy")
def test_no_link_in_a_results_folder_is_followed_out_of_it(score_cache: Path, kept: Path, tmp_path: Path) -> None:
    files = [name for name in kept_results.names(kept) if name.parts[0] == "runs"]
    assert len(files) > 30, "the folder has lost files: this test would prove less"
    refused = 0
    for number, name in enumerate(files):
        (tmp_path / str(number)).mkdir()
        copy = Copy(tmp_path / str(number), kept)
        copy.link(name)
        said = copy.use(score_cache)
        assert copy.contents() == copy.before, f"{name}: something outside was changed"
        refused += any("link that leads out" in each for each in said)
    assert refused > len(files) / 3, "most were not even seen; what nobody reads need not be refused"


@pytest.mark.parametrize("name", ["report", "report/plots"])
def test_no_report_is_written_through_a_link(copy: Copy, name: str) -> None:
    copy.link(Path(name))
    result = CliRunner().invoke(main, ["report", str(copy.out)])
    assert (result.exit_code, "link that leads out" in result.output) == (2, True), result.output
    assert copy.contents() == copy.before


def test_no_picture_is_shown_through_a_link(tmp_path: Path, copy: Copy) -> None:
    secret = tmp_path / "epoch_0001.png"
    Image.fromarray(np.full((242, 242), 77, np.uint8)).save(secret)
    (run,) = [run for run in Store.open(copy.out, create=False).runs() if run.record.status == "done"]
    mine = epoch_grids(run)[0][1]
    assert read_grid(mine, 8, 28) is not None
    mine.unlink()
    mine.symlink_to(secret)
    assert read_grid(mine, 8, 28) is None


def test_a_link_that_the_user_typed_is_followed_and_all_stays_in_its_target(
    tmp_path: Path, kept: Path, score_cache: Path
) -> None:
    target, typed = tmp_path / "scratch" / "target", tmp_path / "out"
    shutil.copytree(kept, target)
    typed.symlink_to(target)
    records = kept_results.again(typed, score_cache).run()
    assert [record.status for record in records] == ["done", "done"]
    assert typed.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scratch"]
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["target"]


def test_a_plugin_is_run_only_where_it_was_named(tmp_path: Path) -> None:
    """What lies beside results, data or a matrix is not a plugin, whatever it is called."""
    for name in ("plugin.py", "conftest.py", "sitecustomize.py", "gan_bench.py"):
        (tmp_path / name).write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    (tmp_path / "matrix.toml").write_text('models = "vanilla"')
    asked = ["run", "--matrix", str(tmp_path / "matrix.toml"), "--dataset", "synthetic", "--offline", "--dry-run"]
    result = CliRunner().invoke(main, [*asked, "--out", str(tmp_path), "--preset", "smoke"])
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "ran").exists()
    load_plugins([tmp_path / "plugin.py"])
    assert (tmp_path / "ran").exists()
