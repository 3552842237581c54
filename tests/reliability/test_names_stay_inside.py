"""Names and links: no name that a folder contains or a user types reaches a file outside the results folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import kept_results
from helpers.events import notices_into
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

import gan_bench as gb
from gan_bench.cli import main
from gan_bench.core.errors import InputError, RunError
from gan_bench.core.evaluation_spec import EvaluationProtocol, EvaluationSpec
from gan_bench.core.images import epoch_grids
from gan_bench.core.registry import Registry, load_plugins
from gan_bench.core.training_spec import TrainingSpec
from gan_bench.losses.base import losses
from gan_bench.metrics.base import ALIASES, metrics
from gan_bench.models.base import aliases, models
from gan_bench.penalties.base import penalties
from gan_bench.report import write_report
from gan_bench.report.sample_grids import read_grid
from gan_bench.store import verify
from gan_bench.store.run_folder import RunFolder
from gan_bench.store.store import Store

PARTS = (
    "..", ".", "/", "\\", "~", "%2e%2e%2f", "C:", "con", "nul.txt", "aux", "\0", "\n", " ", "-rf", "$(id)", "`id`",
    "\u202e", "\uff0e\uff0e\uff0f", "e\u0301", "\U0001f600", "runs", "vanilla", "a" * 64, "b" * 5000,
)  # fmt: skip
NAMES = st.one_of(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("".join), st.text(max_size=80))
SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""The allowed names, written down independently of the code."""


EXAMPLES = (
    "../x", "..", "/etc/passwd", "a/b", "a\\b", "C:\\x", "a\0b", "\u00e9", "vanilla\n", "", ".", "a" * 65,
)  # fmt: skip


def hostile_names(count: int = 300) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that runs a test with `count` names, and with EXAMPLES."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        for name in EXAMPLES:
            test = example(name=name)(test)
        return settings(max_examples=count, deadline=None)(given(name=NAMES)(test))

    return decorate


@hostile_names()
def test_a_registered_name_is_safe_or_refused(name: str) -> None:
    registry: Registry[int] = Registry("thing", "gan_bench.losses", "gan_bench.losses")
    if SAFE.fullmatch(name):
        assert registry.register(name)(1) == 1
    else:
        with pytest.raises(InputError, match="is not allowed"):
            registry.register(name)


@hostile_names()
def test_a_run_id_is_a_folder_within_runs_or_refused(name: str) -> None:
    runs = Path("/nowhere/runs")
    if SAFE.fullmatch(name):
        assert RunFolder(runs, name).path.resolve().parent == runs
    else:
        with pytest.raises(InputError, match="is not allowed"):
            RunFolder(runs, name)


@hostile_names()
def test_specs_and_protocols_with_other_names_are_refused(name: str) -> None:
    spec = {
        "model": "m", "loss": "l", "dataset": "d", "image_size": 28, "channels": 1, "seed": 0, "lr_g": 1,
        "lr_d": 1, "batch_size": 1, "epochs": 1, "settings": {},
    }  # fmt: skip
    protocol = {
        "dataset": "d", "dataset_sha256": "", "reference_split": "test", "n_real": 1, "n_fake": 1,
        "extractor": "e", "extractor_sha256": "", "resize": "", "seed": 0, "kid_subset_size": 1,
        "torch_fidelity_version": "",
    }  # fmt: skip
    TrainingSpec.model_validate(spec)
    EvaluationProtocol.model_validate(protocol)
    for values in [{**spec, key: name} for key in ("model", "loss", "penalty", "dataset")]:
        if SAFE.fullmatch(name):
            assert SAFE.fullmatch(TrainingSpec.model_validate(values).run_id)
        else:
            with pytest.raises(ValidationError):
                TrainingSpec.model_validate(values)
    for key in ("metrics", "extractors"):
        if not SAFE.fullmatch(name):
            with pytest.raises(InputError):
                EvaluationSpec(**{key: (name,)})
    for key in ("dataset", "extractor"):
        if not SAFE.fullmatch(name):
            with pytest.raises(ValidationError):
                EvaluationProtocol.model_validate({**protocol, key: name})
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        with pytest.raises(ValidationError):
            TrainingSpec.model_validate({**spec, "settings": {name: 1}})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Path:
    """A results folder in a folder of its own, where files made beside it are seen."""
    out = tmp_path_factory.mktemp("beside") / "out"
    shutil.copytree(kept, out)
    return out


def is_valid(what: str, name: str, out: Path) -> bool:
    """Whether the typed name exists: among thousands of names some do."""
    known: dict[str, set[str]] = {
        "models": {*models, *aliases()},
        "show": {*models, *aliases()},
        "compare": {*models},
        "losses": {*losses},
        "penalties": {*penalties, "none"},
        "metrics": {*metrics, *ALIASES},
    }
    parts = {part.strip().lower() for part in name.split(",")} - {""}
    if what in known:
        return parts <= known[what]
    if what in ("sample", "eval"):
        if what == "eval" and name == "all":
            return True
        return any(folder.name.startswith(name.strip()) for folder in (out / "runs").iterdir())
    return not name.strip() or os.path.exists(os.path.expanduser(name.strip()))  # noqa: PTH110, PTH111


@hostile_names(40)
def test_the_command_line_refuses_other_names_with_one_line(small: Path, name: str) -> None:
    check_command_lines(small, name)


@pytest.mark.slow
@hostile_names()
def test_the_command_line_refuses_many_other_names_with_one_line(small: Path, name: str) -> None:
    check_command_lines(small, name)


def check_command_lines(small: Path, name: str) -> None:
    before = sorted(small.parent.rglob("*"))
    offline = ["--offline", "--dataset", "synthetic", "--preset", "smoke", "--dry-run", "--out", str(small)]
    typed = {
        "models": ["run", "--models", name, *offline],
        "losses": ["run", "--models", "vanilla", "--losses", name, *offline],
        "penalties": ["run", "--models", "vanilla", "--penalties", name, *offline],
        "metrics": ["run", "--models", "vanilla", "--metrics", name, *offline],
        "plugin": ["run", "--models", "vanilla", "--plugin", name, *offline],
        "show": ["show", "--", name],
        "sample": ["sample", "--dir", str(small), "--out", str(small.parent / "x.png"), "--", name],
        "eval": ["eval", "--out", str(small), "--offline", "--", name],
        "compare": ["compare", "--", name, name, str(small)],
        "status": ["status", "--", name],
        "report": ["report", "--", name],
        "doctor": ["doctor", f"--results={name}"],
    }
    if "\0" in name:  # no command line can hold it
        return
    for what, arguments in typed.items():
        if is_valid(what, name, small):
            continue
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, (what, result.output, result.exception)
        assert "Traceback" not in result.output
        assert "defect" not in result.output
    assert sorted(small.parent.rglob("*")) == before


@hostile_names(40)
def test_a_zero_byte_in_a_path_of_a_matrix_file_is_refused(
    small: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    """A file can contain a zero byte, unlike a command line."""
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
def test_paths_too_long_for_the_system_are_invalid_input(tmp_path: Path, option: str, length: int) -> None:
    path = tmp_path / ("x" * length)
    arguments = ["run", "--models", "vanilla", "--dataset", "mnist", "--offline", "--dry-run", option, str(path)]
    result = CliRunner().invoke(main, arguments, env={"GAN_BENCH_DATA": str(tmp_path)})
    assert result.exit_code == 2, result.output
    assert "defect" not in result.output
    assert list(tmp_path.iterdir()) == []


class Copy:
    """A copy of the results folder, and a folder outside of it that a link leads to."""

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
        """Call everything that reads or writes the folder; return all messages."""
        messages: list[str] = []
        for use in (
            lambda: messages.append(
                str(len(Store.open(self.out, create=False, on_event=notices_into(messages)).runs()))
            ),
            lambda: write_report.write_files(
                Store.open(self.out, create=False, on_event=notices_into(messages)).runs(), self.out / "report"
            ),
            lambda: verify.repair(self.out, verify.inspect(self.out)),
            lambda: kept_results.same_command(self.out, cache).run(),
            lambda: gb.load_results(self.out),
        ):
            try:
                use()
            except (InputError, RunError) as error:
                messages.append(str(error))
        return messages


@pytest.fixture
def copy(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    monkeypatch.setattr(write_report, "render_plots", kept_results.read_pictures_only)
    return Copy(tmp_path, kept)


@pytest.mark.slow
@pytest.mark.usefixtures("copy")
def test_no_link_in_a_results_folder_is_followed_out_of_it(score_cache: Path, kept: Path, tmp_path: Path) -> None:
    files = [name for name in kept_results.names(kept) if name.parts[0] == "runs"]
    assert len(files) > 30, "the folder has fewer files than before"
    refused = 0
    for number, name in enumerate(files):
        (tmp_path / str(number)).mkdir()
        copy = Copy(tmp_path / str(number), kept)
        copy.link(name)
        messages = copy.use(score_cache)
        assert copy.contents() == copy.before, f"{name}: a file outside was changed"
        refused += any("is a link" in each or "leads out of" in each for each in messages)
    assert refused > len(files) / 3, "most links were not noticed"


@pytest.mark.parametrize("name", ["report", "report/plots"])
def test_no_report_is_written_through_a_link(copy: Copy, name: str) -> None:
    copy.link(Path(name))
    result = CliRunner().invoke(main, ["report", str(copy.out)])
    assert (result.exit_code, "link that leads out" in result.output) == (2, True), result.output
    assert copy.contents() == copy.before


def test_no_image_is_read_through_a_link(tmp_path: Path, copy: Copy) -> None:
    secret = tmp_path / "epoch_0001.png"
    Image.fromarray(np.full((242, 242), 77, np.uint8)).save(secret)
    (run,) = [run for run in Store.open(copy.out, create=False).runs() if run.record.status == "done"]
    grid = epoch_grids(run.folder / "samples")[1]
    assert read_grid(grid, 8, 28) is not None
    grid.unlink()
    grid.symlink_to(secret)
    assert read_grid(grid, 8, 28) is None


def test_a_results_folder_that_is_a_link_is_followed(tmp_path: Path, kept: Path, score_cache: Path) -> None:
    target, typed = tmp_path / "scratch" / "target", tmp_path / "out"
    shutil.copytree(kept, target)
    typed.symlink_to(target)
    records = kept_results.same_command(typed, score_cache).run()
    assert [record.status for record in records] == ["done", "done"]
    assert typed.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scratch"]
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["target"]


def test_a_plugin_is_executed_only_if_it_was_named(tmp_path: Path) -> None:
    """A file beside results, data or a matrix is not a plugin, whatever its name."""
    for name in ("plugin.py", "conftest.py", "sitecustomize.py", "gan_bench.py"):
        (tmp_path / name).write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    (tmp_path / "matrix.toml").write_text('models = "vanilla"')
    arguments = [
        "run",
        "--matrix",
        str(tmp_path / "matrix.toml"),
        "--dataset",
        "synthetic",
        "--offline",
        "--dry-run",
    ]
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path), "--preset", "smoke"])
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "ran").exists()
    load_plugins([tmp_path / "plugin.py"])
    assert (tmp_path / "ran").exists()
