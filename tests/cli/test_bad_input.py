"""Bad input: one clear line that says what was asked and what to type instead, exit code 2, nothing written."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_words import RUN, Typed

WHOLE = "type a whole number from"
COUNTS = ("--epochs", "--steps", "--batch-size", "--eval-samples", "--eval-every", "--jobs", "--lanes")
HUGE = "9" * 25

RUN_CASES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    *(
        ((option, bad), (option, bad, WHOLE))
        for option in COUNTS[:-1]
        for bad in ("0", "-1", "a", "1.5", "", HUGE)
    ),
    *((("--lanes", bad), ("--lanes", bad, "auto")) for bad in ("0", "-1", "a", "1.5", "", HUGE)),
    (("--retries", "-1"), ("--retries", "-1", WHOLE)),
    *((("--run-timeout", bad), ("--run-timeout", "90s, 15m, 2h")) for bad in ("", "0", "-1", "soon", "nan")),
    (("--checkpoint-every", "often"), ("--checkpoint-every 'often'", "90s, 15m, 2h")),
    (("--models", "vanila"), ("vanila", "did you mean vanilla")),
    (("--models", "vanila", "--dataset", "auto"), ("vanila", "did you mean vanilla")),
    (("--models", ""), ("--models", "empty", "a,b")),
    (("--models", "vanilla,,dcgan"), ("--models", "empty", "a,b")),
    (("--losses", "bec"), ("'bec'", "did you mean bce")),
    (("--dataset", "minst"), ("'minst'", "did you mean mnist")),
    (("--metrics", "fdi"), ("'fdi'", "did you mean fid")),
    (("--metrics", ","), ("--metrics", "empty")),
    (("--extractors", "inceptoin"), ("'inceptoin'", "did you mean inception")),
    (("--preset", "smok"), ("'smok'", "did you mean smoke")),
    (("--executor", "lokal"), ("'lokal'", "did you mean local")),
    (("--modles", "vanilla"), ("--modles", "--models", "gan-bench run --help")),
    (("stray",), ("stray", "gan-bench run --help")),
    (("--epochs",), ("--epochs", "requires an argument")),
    (("--image-size", "16"), ("--image-size", "'16'", "'28', '32', '64'")),
    (("--models", "dcgan64", "--image-size", "28"), ("dcgan64", "64", "28", "vanilla")),
    (("--seeds", "3-1"), ("--seeds", "3-1", "type 1-3")),
    *((("--seeds", bad), ("--seeds", "type numbers")) for bad in ("", ",", "-1", "a", "0,,1", "1.5", "9" * 14)),
    (("--seeds", "0-99999"), ("--seeds", "10,000")),
    (("--seeds", "2147483648"), ("--seeds", "2147483647")),
    *((("--lrs", bad), ("--lrs", "above 0 and below 10")) for bad in ("0", "nan", "inf", "-1e-4", "10", "1e400")),
    *((("--lrs", bad), ("--lrs", "type 1e-4,2e-4")) for bad in ("", ",", "a", "1e-4:", "1e-4:1:1")),
    (("--set", "widht=1"), ("'widht'", "did you mean width")),
    (("--set", "width=abc"), ("width='abc'", "number")),
    (("--set", "width=true"), ("width=True", "no values")),
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
    (("--device", "cuda:99"), ("cuda:99", "not there", "--device auto or cpu")),
    (("--device", "cpu", "--precision", "tf32"), ("tf32", "fp32 or bf16")),
    (("--precision", "fp16"), ("fp16", "'bf16'")),
    (("--epochs", "2", "--steps", "3"), ("--epochs and --steps", "one of them")),
    (("--batch-size", "1298"), ("--batch-size 1298", "at most 1297")),
    (("--eval-samples", "100"), ("fid", "128", "--eval-samples 129")),
    (("--dataset", "mnist", "--data-root", "nowhere"), ("nowhere", "--data-root", "--dataset digits")),
    (("--dataset", "mnist", "--data-root", "file"), ("file", "--data-root", "--dataset digits")),
    (("--out", "file"), ("--out file", "a file", "folder")),
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
    "models = [": "no TOML",
    "\xff": "no TOML",
    'modles = ["vanilla"]': "did you mean models",
    'epochs = "abc"': "--epochs 'abc'",
    "epochs = 1.5": "--epochs '1.5'",
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
    (("sample", "x", "--n", "0"), ("--n '0'", WHOLE)),
    (("sample", "x", "--seed", "-1"), ("--seed '-1'", WHOLE)),
    (("sample", "x", "--out", "grid.txt"), ("grid.txt", ".png")),
    (("sample", "x", "--out", "file/grid.png"), ("file", "make it first")),
    (("sample", "x", "--class", "3"), ("--class 3", "leave --class out")),
    (("sample", "x", "--checkpoint", "worst"), ("'worst'", "'best'")),
    (("show",), ("MODEL", "gan-bench show --help")),
    (("show", "vanila"), ("vanila", "did you mean vanilla")),
    (("show", "dcgan64", "--image-size", "28"), ("dcgan64", "vanilla")),
    (("show", "vanilla", "--batch-size", HUGE), ("--batch-size", WHOLE)),
    (("show", "vanilla", "--set", "z_dim=0"), ("z_dim=0",)),
    (("list",), ("models", "presets")),
    (("list", "modles"), ("'modles'", "'models'")),
    (("list", "models", "--plugin", "raises.py"), ("raises.py", "boom")),
    (("rnu",), ("'rnu'", "'run'")),
]


ACCENTS = """
from gan_bench.losses.bce import BCE
from gan_bench.losses.loss import losses

@losses.register("accents")
class Accents(BCE):
    title = "d\u00e9j\u00e0"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what bad input names."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    (folder / "newer").mkdir()
    (folder / "newer" / "store.json").write_text('{"schema_version": 99}')
    (folder / "raises.py").write_text("raise ValueError('boom')\n")
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    (folder / "broken.py").write_text("def f(\n")
    return folder


def refused(typed: Typed, place: Path, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    before = sorted(place.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        result = typed(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    for text in says:
        assert text in line
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(("words", "says"), RUN_CASES, ids=[" ".join(words) for words, _ in RUN_CASES])
def test_run_refuses(typed: Typed, place: Path, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    refused(typed, place, (*RUN, "--models", "vanilla,dcgan28", *words), says)


def test_run_wants_models(typed: Typed, place: Path) -> None:
    refused(typed, place, RUN, ("--models vanilla,dcgan",))


@pytest.mark.parametrize("text", MATRIX_CASES)
def test_matrix_files_are_refused(typed: Typed, place: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_bytes(text.encode("latin-1"))
    given = () if text.startswith("models") else ("--models", "vanilla")
    refused(typed, place, (*RUN, *given, "--matrix", str(file)), (MATRIX_CASES[text],))


@pytest.mark.parametrize(("words", "says"), OTHER_CASES, ids=[" ".join(words) for words, _ in OTHER_CASES])
def test_other_commands_refuse(typed: Typed, place: Path, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    refused(typed, place, words, says)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("GAN_BENCH_DATA", ("--models", "vanilla")),
        ("GAN_BENCH_INCEPTION_WEIGHTS", ("--models", "vanilla", "--extractors", "inception")),
    ],
)
def test_a_variable_that_names_nobody_s_home_is_refused(
    typed: Typed, place: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, "~nobody-of-that-name/x")
    refused(typed, place, (*RUN, *words), (f"{variable} '~nobody-of-that-name/x'", "type the whole path"))


@pytest.mark.parametrize("damage", ["other bytes", "cut off"])
def test_damaged_archives_are_named(typed: Typed, tmp_path: Path, damage: str) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, kind in itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1")):
        data = gzip.compress(b"\0" * 4000)
        (raw / f"{split}-{kind}-ubyte.gz").write_bytes(data if damage == "other bytes" else data[:20])
    words = (*RUN, "--models", "vanilla", "--dataset", "mnist", "--data-root", str(tmp_path))
    refused(typed, tmp_path, words, ("train-images-idx3-ubyte.gz is damaged", "delete it"))


def test_a_run_that_could_be_several_is_asked_for_again(typed: Typed, first: tuple[object, Path]) -> None:
    _, out = first
    refused(typed, out, ("sample", "vanilla", "--dir", str(out)), ("any of 2", "type more"))
    refused(typed, out, ("sample", "vanila-bce", "--dir", str(out)), ("vanila-bce", "gan-bench status"))


def test_what_a_text_would_tell_the_terminal_to_do_is_not_told(typed: Typed, place: Path) -> None:
    refused(typed, place, ("status", "no\x1b]0;x\x07"), ("results folder no ]0;x : no results there",))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = _shell(["list", "presets", "--json"], stdout=full)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["Error: the system refused: no space left on device"]


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = _shell(["list", "presets"], stdout=writer)
    os.close(writer)
    assert ended.stderr == ""


def test_a_terminal_without_unicode_gets_plain_letters(tmp_path: Path) -> None:
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
