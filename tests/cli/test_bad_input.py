"""Invalid input: one line with what was asked and what to type instead, exit code 2, nothing written."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.cli_words import RUN, Invoke

COUNTS = ("--epochs", "--steps", "--batch-size", "--eval-samples", "--eval-draws", "--eval-every", "--jobs")
HUGE = "9" * 25

RUN_CASES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    *(((option, bad), (option, bad, "is not in the range")) for option in COUNTS for bad in ("0", "-1", HUGE)),
    *(((option, bad), (option, bad, "not a valid integer")) for option in COUNTS for bad in ("a", "1.5", "")),
    *((("--lanes", bad), ("--lanes", bad, "auto")) for bad in ("0", "-1", "a", "1.5", "", HUGE)),
    (("--eval-draws", "101"), ("--eval-draws", "101", "1<=x<=100")),
    (("--retries", "-1"), ("--retries", "-1", "0<=x<=100")),
    *((("--run-timeout", bad), ("--run-timeout", "90s, 15m, 2h")) for bad in ("", "0", "-1", "soon", "nan")),
    (("--checkpoint-every", "often"), ("--checkpoint-every 'often'", "90s, 15m, 2h")),
    (("--models", "vanila"), ("vanila", "did you mean vanilla")),
    (("--models", "vanila", "--dataset", "auto"), ("vanila", "did you mean vanilla")),
    (("--models", ""), ("--models", "empty", "a,b")),
    (("--models", "vanilla,,dcgan"), ("--models", "empty", "a,b")),
    (("--losses", "bec"), ("'bec'", "did you mean bce")),
    (("--penalties", "spectral"), ("penalty 'spectral'", "r1")),
    (("--penalties", "none,"), ("--penalties 'none,'", "empty")),
    (("--losses", "wgan-gp", "--penalties", "none"), ("wgan-gp", "penalt")),
    (("--reference-split", "valid"), ("--reference-split", "'valid'", "'test', 'train'")),
    (("--batch-norm", "eval"), ("--batch-norm", "'eval'", "'running', 'batch', 'standing'")),
    (("--cpu-kernels", "mkl"), ("--cpu-kernels", "'mkl'", "'pytorch'")),
    (("--out", ""), ("--out ''", "empty path")),
    (("--out", "~no-such-user/x"), ("--out '~no-such-user/x'", "type the whole path")),
    (("--plugin", "~no-such-user/x.py"), ("--plugin '~no-such-user/x.py'", "type the whole path")),
    (("--dataset", "minst"), ("'minst'", "did you mean mnist")),
    (("--dataset", "./images"), ("--dataset ./images", "type --dataset NAME=PATH")),
    (("--dataset", "Cats=images"), ("'Cats' is not allowed", "a-z")),
    (("--dataset", "cats="), ("--dataset cats= ''", "empty path")),
    (("--dataset", "cats=no-such-folder"), ("--dataset cats=", "nothing at this path")),
    (("--dataset", "mnist=images"), ("mnist is the name of another data set",)),
    (("--alpha", "red"), ("--alpha", "'red'", "'white', 'black'")),
    (("--metrics", "fdi"), ("'fdi'", "did you mean fid")),
    (("--metrics", ","), ("--metrics", "empty")),
    (("--extractors", "inceptoin"), ("'inceptoin'", "did you mean inception")),
    (("--preset", "smok"), ("'smok'", "did you mean smoke")),
    (("--executor", "lokal"), ("'lokal'", "did you mean local")),
    (("--modles", "vanilla"), ("--modles", "--models", "gan-bench run --help")),
    (("stray",), ("stray", "gan-bench run --help")),
    (("--epochs",), ("--epochs", "requires an argument")),
    (("--image-size", "16"), ("'vanilla'", "28, 32 or 64 pixels, not 16", "omit --image-size")),
    (("--image-size", "0"), ("--image-size", "0", "1<=x<=1024")),
    (("--models", "dcgan64", "--image-size", "28"), ("dcgan64", "64", "28", "vanilla")),
    (("--seeds", "3-1"), ("--seeds", "3-1", "type 1-3")),
    *((("--seeds", bad), ("--seeds", "type numbers")) for bad in ("", ",", "-1", "a", "0,,1", "1.5", "9" * 14)),
    (("--seeds", "0-99999"), ("--seeds", "10,000")),
    (("--seeds", "2147483648"), ("--seeds", "2147483647")),
    *((("--lrs", bad), ("--lrs", "above 0 and below 10")) for bad in ("0", "nan", "inf", "-1e-4", "10", "1e400")),
    *((("--lrs", bad), ("--lrs", "type 1e-4,2e-4")) for bad in ("", ",", "a", "1e-4:", "1e-4:1:1")),
    (("--set", "widht=1"), ("'widht'", "did you mean width")),
    (("--set", "width=abc"), ("width='abc'", "number")),
    (("--set", "width=true"), ("width=True: true and false are not numbers",)),
    (("--set", "width=NaN"), ("width", "finite")),
    (("--set", "width=99"), ("width=99", "16")),
    (("--set", "z_dim=0"), ("z_dim=0", "greater than or equal to 1")),
    (("--set", "z_dim=10.5"), ("z_dim=10.5", "integer")),
    (("--set", "dropout=2"), ("dropout=2", "less than 1")),
    (("--set", "noise=gauss"), ("noise='gauss'", "normal", "uniform")),
    (("--set", "width"), ("--set 'width'", "KEY=VALUE")),
    (("--set", "=3"), ("--set '=3'", "KEY=VALUE")),
    (("--set", "width=1", "--set", "width=2"), ("width", "twice")),
    (("--set", "lr_g=1"), ("lr_g", "--lrs")),
    (("--device", "tpu"), ("tpu", "cpu")),
    (("--device", "cuda:99"), ("cuda:99", "not available", "--device auto or cpu")),
    (("--device", "cpu", "--precision", "tf32"), ("tf32", "fp32 or bf16")),
    (("--precision", "fp16"), ("fp16", "'bf16'")),
    (("--epochs", "2", "--steps", "3"), ("--epochs and --steps", "one of them")),
    (("--batch-size", "1298"), ("--batch-size 1298", "at most 1297")),
    (("--eval-samples", "100"), ("fid", "128", "--eval-samples 129")),
    (("--dataset", "mnist", "--data-root", "nowhere"), ("nowhere", "--data-root", "--dataset digits")),
    (("--dataset", "mnist", "--data-root", "file"), ("file", "--data-root", "--dataset digits")),
    (("--out", "file"), ("--out ", "file: ", "is a file", "folder")),
    (("--out", "file/below"), ("file", "a file", "folder")),
    (("--out", "newer"), ("newer", "schema 99", "update gan_bench")),
    (("--plugin", "nowhere.py"), ("nowhere.py", "no such file")),
    (("--plugin", "raises.py"), ("raises.py", "ValueError: boom")),
    (("--plugin", "leaves.py"), ("leaves.py", "SystemExit")),
    (("--plugin", "broken.py"), ("broken.py", "SyntaxError")),
    (("--matrix", "nowhere.toml"), ("nowhere.toml", "can't be read", "TOML")),
    (("--matrix", "newer"), ("newer", "can't be read")),
]

MATRIX_CASES = {
    "models = [": "not valid TOML",
    "\xff": "not valid TOML",
    'modles = ["vanilla"]': "did you mean models",
    'epochs = "abc"': "'--epochs': 'abc'",
    "epochs = 1.5": "'--epochs': '1.5'",
    "eval-draws = 0": "'--eval-draws': 0",
    'batch-norm = "none"': "'--batch-norm': 'none'",
    'checkpoint-every = "often"': "--checkpoint-every 'often'",
    'lanes = "many"': "--lanes 'many'",
    'data-root = "~no-such-user"': "--data-root '~no-such-user'",
    "epochs = true": "epochs = True",
    "epochs = [1, 2]": "epochs = [1, 2]",
    "models = []": "models = []",
    "losses = { a = 1 }": "losses",
    "seeds = true": "seeds = True",
    "seeds = [[1, 2]]": "seeds = [[1, 2]]",
    "metrics = 1979-05-27": "metrics",
    'offline = "maybe"': "true or false",
    "fail-fast = 3": "true or false",
    'set = "width=0.5"': "set = { width = 0.5",
    "[set]\nwidth = [1, 2]": "set = { width = 0.5",
    '[set]\nwidth = "a"': "width='a'",
    "json = true": "command line",
    "dry-run = true": "command line",
    'matrix = "other.toml"': "command line",
}

OTHER_CASES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    *(((command, "nowhere"), ("nowhere", "gan-bench run --out")) for command in ("report", "status")),
    *(((command, "empty"), ("empty", "gan-bench run --out")) for command in ("report", "status")),
    *(((command, "file"), ("file", "name a folder")) for command in ("report", "status")),
    *(((command, "newer"), ("schema 99", "update")) for command in ("report", "status")),
    (("sample", "x", "--dir", "empty"), ("empty", "gan-bench run --out")),
    (("sample",), ("RUN", "gan-bench sample --help")),
    (("eval", "x", "--out", "empty"), ("empty", "gan-bench run --out")),
    (("eval",), ("RUN", "gan-bench eval --help")),
    (("eval", "all", "--out", "file"), ("file", "name a folder")),
    (("eval", "all", "--metrics", ""), ("--metrics", "empty")),
    (("eval", "all", "--eval-samples", "15"), ("--eval-samples", "15", "16<=x<=1000000")),
    (("eval", "all", "--eval-every", "2"), ("--eval-every", "gan-bench eval --help")),
    (("eval", "all", "--reference-split", "valid"), ("'valid'", "'train'")),
    (("sample", "x", "--n", "0"), ("'--n': 0", "1<=x<=10000")),
    (("sample", "x", "--seed", "-1"), ("'--seed': -1", "0<=x<=2147483647")),
    (("sample", "x", "--out", "grid.txt"), ("grid.txt", ".png")),
    (("sample", "x", "--out", "file/grid.png"), ("file", "make it first")),
    (("sample", "x", "--out", "folder.png"), ("folder.png", "name of a file")),
    (("sample", "x", "--checkpoint", "worst"), ("'worst'", "'best'")),
    (("show",), ("MODEL", "gan-bench show --help")),
    (("show", "vanila"), ("vanila", "did you mean vanilla")),
    (("show", "dcgan64", "--image-size", "28"), ("dcgan64", "vanilla")),
    (("show", "vanilla", "--batch-size", HUGE), ("--batch-size", "is not in the range")),
    (("show", "vanilla", "--set", "z_dim=0"), ("z_dim=0",)),
    (("list",), ("models", "presets")),
    (("list", "modles"), ("'modles'", "'models'")),
    (("list", "models", "--plugin", "raises.py"), ("raises.py", "boom")),
    (("list", "penalties", "--plugin", "nowhere.py"), ("nowhere.py", "no such file")),
    (("doctor", "--repair"), ("--repair", "--results DIR")),
    (("report", "~no-such-user"), ("~no-such-user", "type the whole path")),
    (("rnu",), ("'rnu'", "'run'")),
]


ACCENTS = """
from gan_bench.losses.bce import BCE
from gan_bench.losses.base import losses

@losses.register("accents")
class Accents(BCE):
    title = "d\u00e9j\u00e0"
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and folders that the commands name."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    (folder / "folder.png").mkdir()
    (folder / "newer").mkdir()
    (folder / "newer" / "store.json").write_text('{"schema_version": 99}')
    (folder / "raises.py").write_text("raise ValueError('boom')\n")
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    (folder / "broken.py").write_text("def f(\n")
    return folder


def assert_refused(invoke: Invoke, workspace: Path, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    before = sorted(workspace.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    for text in says:
        assert text in line
    assert sorted(workspace.rglob("*")) == before


@pytest.mark.parametrize(("words", "says"), RUN_CASES, ids=[" ".join(words) for words, _ in RUN_CASES])
def test_run_refuses_invalid_options(
    invoke: Invoke, workspace: Path, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    assert_refused(invoke, workspace, (*RUN, "--models", "vanilla,dcgan28", *words), says)


def test_run_requires_models(invoke: Invoke, workspace: Path) -> None:
    assert_refused(invoke, workspace, RUN, ("--models vanilla,dcgan",))


@pytest.mark.parametrize("text", MATRIX_CASES)
def test_invalid_matrix_files_are_refused(invoke: Invoke, workspace: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_bytes(text.encode("latin-1"))
    given = () if text.startswith("models") else ("--models", "vanilla")
    assert_refused(invoke, workspace, (*RUN, *given, "--matrix", str(file)), (MATRIX_CASES[text],))


@pytest.mark.parametrize(("words", "says"), OTHER_CASES, ids=[" ".join(words) for words, _ in OTHER_CASES])
def test_other_commands_refuse_invalid_input(
    invoke: Invoke, workspace: Path, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    assert_refused(invoke, workspace, words, says)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("GAN_BENCH_DATA", ("--models", "vanilla")),
        ("GAN_BENCH_INCEPTION_WEIGHTS", ("--models", "vanilla", "--extractors", "inception")),
    ],
)
def test_an_environment_variable_with_an_unknown_home_folder_is_refused(
    invoke: Invoke, workspace: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, "~no-such-user/x")
    assert_refused(invoke, workspace, (*RUN, *words), (f"{variable} '~no-such-user/x'", "type the whole path"))


@pytest.mark.parametrize("damage", ["other bytes", "cut off"])
def test_a_damaged_archive_is_named(invoke: Invoke, tmp_path: Path, damage: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, kind in itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1")):
        data = gzip.compress(b"\0" * 4000)
        (raw / f"{split}-{kind}-ubyte.gz").write_bytes(data if damage == "other bytes" else data[:20])
    words = (*RUN, "--models", "vanilla", "--dataset", "mnist", "--data-root", str(tmp_path))
    assert_refused(invoke, tmp_path, words, ("train-images-idx3-ubyte.gz is damaged", "delete it"))


@pytest.mark.xdist_group("cli")
def test_an_ambiguous_or_unknown_run_is_refused(invoke: Invoke, first: tuple[object, Path]) -> None:
    _, out = first
    assert_refused(invoke, out, ("sample", "vanilla", "--dir", str(out)), ("matches 2 runs", "type more"))
    assert_refused(invoke, out, ("eval", "vanila-bce", "--out", str(out)), ("vanila-bce", "gan-bench status"))
    (path_of_images := out / "images").mkdir(exist_ok=True)
    for path in (str(path_of_images), "nowhere/images.npz"):
        assert_refused(invoke, out, ("eval", path, "--out", str(out)), (path, "not supported yet"))
    assert_refused(invoke, out, ("sample", "vanila-bce", "--dir", str(out)), ("vanila-bce", "gan-bench status"))


def test_control_characters_in_errors_are_not_printed(invoke: Invoke, workspace: Path) -> None:
    assert_refused(invoke, workspace, ("status", "no\x1b]0;x\x07"), (r"no\x1b]0;x\x07: it has no",))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_stdout_is_one_error_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = _shell(["list", "presets", "--json"], stdout=full)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["Error: the system refused: no space left on device"]


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = _shell(["list", "presets"], stdout=writer)
    os.close(writer)
    assert ended.stderr == ""


def test_an_ascii_terminal_gets_replacement_characters(tmp_path: Path) -> None:
    plugin = tmp_path / "accents.py"
    plugin.write_text(ACCENTS, encoding="utf-8")
    words = ["list", "losses", "--plugin", str(plugin)]
    ended = _shell(words, stdout=subprocess.PIPE, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert ended.returncode == 0, ended.stderr
    assert "d?j?" in ended.stdout
    assert ended.stdout.isascii()


def _shell(words: list[str], stdout: int | object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gan_bench", *words],
        stdout=stdout,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        env={**{key: os.environ[key] for key in os.environ if key != "PYTHONUNBUFFERED"}, **environment},
        text=True,
        timeout=60,
        check=False,
    )
