"""The commands on a small results folder: what they print, what they leave alone, what they exit with."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_words import RUN, SMALL, Typed, json_lines
from click.testing import Result
from PIL import Image
from rich.console import Console

from gan_bench.cli import tables
from gan_bench.cli.group import main
from gan_bench.cli.list import KINDS
from gan_bench.models.model import models
from gan_bench.training import profile
from gan_bench.training.operators import KINDS as KINDS_OF_WORK
from gan_bench.training.operators import OTHER

PLUGIN = """
from gan_bench.losses.loss import losses
from gan_bench.losses.bce import BCE

@losses.register("cli-plugged")
class Plugged(BCE):
    title = "plugged in"
"""

MODEL_PLUGIN = """
from gan_bench.models.model import models
from gan_bench.models.vanilla import Vanilla

@models.register("cli-plugged")
class Plugged(Vanilla):
    title = "plugged in"
"""


def _times(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in (out / "runs").rglob("*")}


def test_run_prints_a_table_and_the_page(first: tuple[Result, Path]) -> None:
    result, out = first
    assert result.exit_code == 0, result.output
    assert (
        sum(line.split()[:2] in (["vanilla", "28"], ["dcgan28", "28"]) for line in result.stdout.splitlines()) == 4
    )
    assert f"Report: {out / 'report' / 'index.html'}" in result.stdout
    assert (out / "report" / "index.html").is_file()


def test_the_same_command_again_does_nothing_twice_and_prints_the_same(
    typed: Typed, first: tuple[Result, Path]
) -> None:
    earlier, out = first
    before = _times(out)
    result = typed(*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out)
    assert result.exit_code == 0
    assert "4 of them finished earlier" in result.stderr
    assert result.stdout == earlier.stdout
    assert _times(out) == before


def test_json_tells_earlier_results_too(typed: Typed, first: tuple[Result, Path]) -> None:
    _, out = first
    result = typed(*SMALL, "--models", "vanilla", "--seeds", "0-1", "--out", out, "--json")
    told = json_lines(result.stdout)
    assert [line["event"] for line in told] == ["finished", "finished"]
    assert all(line["earlier"] and line["scores"]["fid"] > 0 for line in told)
    assert {line["run_id"].split("-s")[1][0] for line in told} == {"0", "1"}


def test_json_tells_epochs_and_results(typed: Typed, tmp_path: Path) -> None:
    result = typed(*SMALL, "--models", "vanilla", "--out", tmp_path / "out", "--json", "--fail-fast")
    told = json_lines(result.stdout)
    assert [line["event"] for line in told] == ["epoch", "epoch", "epoch", "finished"]
    assert [line["epoch"] for line in told[:3]] == [1, 2, 3]
    assert not told[-1]["earlier"]
    assert told[-1]["scores"]["fid"] > 0


def test_fresh_trains_again(typed: Typed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for extra in ((), ("--fresh",)):
        result = typed(*SMALL, "--models", "vanilla", "--out", out, *extra)
        assert result.exit_code == 0
        assert "finished earlier" not in result.stderr
        assert "1/1 done" in result.stderr


def test_a_plugin_s_loss_can_be_run(typed: Typed, tmp_path: Path, borrowed_registries: None) -> None:
    plugin = tmp_path / "plugged.py"
    plugin.write_text(PLUGIN)
    words = ("--models", "vanilla", "--losses", "cli-plugged", "--plugin", plugin)
    result = typed(*SMALL, *words, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "vanilla/cli-plugged" in result.stdout


def test_dry_run_shows_the_plan_and_writes_nothing(
    typed: Typed, first: tuple[Result, Path], tmp_path: Path
) -> None:
    _, out = first
    words = (*SMALL, "--models", "vanilla", "--seeds", "0-2", "--dry-run")
    rows = json_lines(typed(*words, "--out", out, "--json").stdout)
    assert [row["state"] for row in rows] == ["finished", "finished", "to do"]
    result = typed(*words, "--out", tmp_path / "new")
    assert "3 runs, 0 finished, 3 to train, alone or together as a trial will show (--lanes auto)" in result.stdout
    assert "GFLOP/s that its matrix products just reached in fp32" in result.stdout
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--seeds", "0-2", "--lanes", "2"), "3 to train in 2 programs"),
        (("--seeds", "0-2", "--lanes", "1"), "3 to train; preset"),
        (("--seeds", "0"), "1 to train; preset"),
    ],
)
def test_dry_run_says_how_many_programs_there_will_be(
    typed: Typed, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    result = typed(*SMALL, "--models", "vanilla", "--dry-run", "--out", tmp_path / "new", *options)
    assert told in result.stdout


LOOKS_AT_VALUES = """
from torch import nn
from gan_bench.models.model import models
from gan_bench.models.vanilla import Vanilla

class Wary(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        if x.mean() > 5:
            raise ValueError("these are no images")
        return self.net(x)

@models.register("wary")
class WaryVanilla(Vanilla):
    def discriminator(self):
        return Wary(super().discriminator())
"""


def test_a_net_whose_arithmetic_cannot_be_counted_is_trained_all_the_same(
    typed: Typed, tmp_path: Path, borrowed_registries: None
) -> None:
    """It looks at values, so that it runs neither without them nor as lanes of one program."""
    plugin = tmp_path / "wary.py"
    plugin.write_text(LOOKS_AT_VALUES)
    words = (*SMALL, "--models", "wary", "--seeds", "0-1", "--plugin", plugin, "--out", tmp_path / "out")
    planned = typed(*words, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "how much is left can't be said" in planned.stdout
    result = typed(*words)
    assert result.exit_code == 0, result.output
    assert "wary: runs are trained one after the other (a step of one of them takes" in result.stderr
    assert [row["status"] for row in json_lines(typed("status", tmp_path / "out", "--json").stdout)] == [
        "done"
    ] * 2


def test_an_empty_folder_is_a_fine_place_for_results(typed: Typed, tmp_path: Path) -> None:
    result = typed(*SMALL, "--models", "vanilla", "--out", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output


def test_a_matrix_file_sets_what_the_command_line_does_not(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(
        'models = ["vanilla", "dcgan"]\nseeds = [0, "2-3"]\nlrs = [1e-4, "4e-4:1e-4"]\nimage_size = 28\n'
        "batch-size = 64\noffline = true\n[set]\nwidth = 0.25\n"
    )
    words = (*RUN, "--matrix", file, "--dry-run", "--json", "--batch-size", "32", "--seeds", "7")
    rows = json_lines(typed(*words).stdout)
    assert {(row["model"], row["lr"], row["seed"], row["batch"]) for row in rows} == {
        (model, rate, 7, 32) for model in ("vanilla", "dcgan28") for rate in ("1e-4", "4e-4:1e-4")
    }


def test_report_again_and_as_json(typed: Typed, first: tuple[Result, Path]) -> None:
    _, out = first
    result = typed("report", out)
    assert result.exit_code == 0
    assert "index.html" in result.stdout
    board = json_lines(typed("report", out, "--json").stdout)
    assert {row["model"] for row in board} == {"vanilla", "dcgan28"}
    assert all(row["n"] == 2 for row in board)


def test_status_counts(typed: Typed, first: tuple[Result, Path]) -> None:
    _, out = first
    result = typed("status", out)
    assert result.exit_code == 0
    assert result.stdout.rstrip().endswith("4 done")
    assert [row["status"] for row in json_lines(typed("status", out, "--json").stdout)] == ["done"] * 4


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_sample_draws_the_same_grid_for_the_same_seed(
    typed: Typed, first: tuple[Result, Path], tmp_path: Path, checkpoint: str
) -> None:
    _, out = first
    run = next(iter(sorted((out / "runs").iterdir())))
    grids = []
    for name, seed, which in (("a", 3, run.name), ("b", 3, run), ("c", 4, run.name[:-4])):
        file = tmp_path / f"{name}.png"
        words = ("--dir", out, "--n", 9, "--seed", seed, "--checkpoint", checkpoint, "--out", file)
        assert typed("sample", which, *words).exit_code == 0
        grids.append(Image.open(file).tobytes())
    assert grids[0] == grids[1] != grids[2]


@pytest.mark.parametrize("kind", KINDS)
def test_list(typed: Typed, kind: str) -> None:
    rows = json_lines(typed("list", kind, "--json").stdout)
    assert rows
    table = typed("list", kind)
    assert table.exit_code == 0
    for row in rows:
        assert next(iter(row.values())) in table.stdout


@pytest.mark.parametrize("model", models.names())
def test_show(typed: Typed, model: str) -> None:
    result = typed("show", model)
    assert result.exit_code == 0
    assert "Generator," in result.stdout
    *layers, about = json_lines(typed("show", model, "--json").stdout)
    assert all({"layer", "output", "parameters"} <= layer.keys() for layer in layers)
    assert any("GFLOP" in str(value) for value in about.values())


def test_a_plugin_s_model_can_be_shown_and_sampled(
    typed: Typed, tmp_path: Path, borrowed_registries: None
) -> None:
    plugins = [tmp_path / f"plugin{number}.py" for number in range(3)]  # a file is run once in a process
    for plugin in plugins:
        plugin.write_text(MODEL_PLUGIN)
    out = tmp_path / "out"
    commands = [
        (*SMALL, "--models", "cli-plugged", "--out", out),
        ("show", "cli-plugged"),
        ("sample", "cli-plugged", "--dir", out, "--out", tmp_path / "grid.png"),
    ]
    for command, plugin in zip(commands, plugins, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(models, "_things", dict(models._things))  # as in a process of its own
            result = typed(*command, "--plugin", plugin)
            assert result.exit_code == 0, result.output
    assert (tmp_path / "grid.png").is_file()


def test_doctor_names_what_is_wrong(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rows = {
        row["what"]: row
        for row in json_lines(
            typed("doctor", "--json", "--out", tmp_path / "file", "--data-root", tmp_path / "file").stdout
        )
    }
    assert rows["data: digits"]["found"] == "at hand"
    assert rows["data: mnist"]["found"] == "not at hand"
    assert "is a file" in rows["data folder"]["what to do"]
    assert "another --out" in rows["disk"]["what to do"]


def test_every_command_has_help_that_fits_80_columns(typed: Typed) -> None:
    for name, command in main.commands.items():
        text = typed(name, "--help").stdout
        assert "Usage: gan-bench" in text
        assert all(len(line) <= 90 for line in text.splitlines())
        assert all(option.help for option in command.params if option.param_type_name == "option"), name
    assert "..." not in typed("--help").stdout.partition("Commands:")[2]


def test_a_narrow_terminal_gets_fewer_columns_and_whole_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"model": "dcgan28-tf", "px": 28, "lr": "4e-4:1e-4", "status": "done", "verdict": "undertrained"}
    row |= {"FID": 126.91, "IS": 6.017, "precision": 0.5439, "recall": 0.5168, "classes": 10, "s/epoch": 85.48}
    for columns in (80, 200):
        monkeypatch.setattr(tables, "console", lambda columns=columns: Console(width=columns))
        tables.print_rows([row], as_json=False, optional=tables.LESS_NEEDED)
    text = capsys.readouterr().out.splitlines()
    shown = [line.split() for line in text if "dcgan28-tf" in line]
    assert shown[0][:5] == ["dcgan28-tf", "4e-4:1e-4", "done", "undertrained", "126.9"]
    assert len(shown[1]) == len(row)


def test_compare_tells_which_is_better_and_how_sure(typed: Typed, first: tuple[Result, Path]) -> None:
    _, out = first
    result = typed("compare", "vanilla", "dcgan28", out)
    assert result.exit_code == 0, result.output
    assert "vanilla: FID" in result.stdout
    assert "dcgan28: FID" in result.stdout
    assert "over 2 trainings, rough" in result.stdout
    (told,) = json_lines(typed("compare", "vanilla", "dcgan28", out, "--json").stdout)
    assert told["metric"] == "fid"
    swapped = json_lines(typed("compare", "dcgan28", "vanilla", out, "--json").stdout)[0]
    assert told["a"] == swapped["b"]
    assert told["a"]["mean"] != told["b"]["mean"]


def test_compare_refuses_what_is_not_there(typed: Typed, first: tuple[Result, Path]) -> None:
    _, out = first
    unknown = typed("compare", "vanila", "dcgan28", out)
    assert unknown.exit_code == 2
    assert "did you mean vanilla" in unknown.stderr
    mixed = typed("compare", out, "vanilla", out)
    assert mixed.exit_code == 2
    assert "not repetitions of one training" in mixed.stderr


def test_profile_says_where_a_step_s_time_goes(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "ENOUGH_SECONDS", 0.0)
    words = (*SMALL, "--models", "dcgan", "--profile", "--out", tmp_path)
    text = typed(*words).stdout
    assert "dcgan28  lr 2e-4  seed 0: a step takes " in text
    percents = {}
    for line in text.partition("the whole step")[0].splitlines():
        for kind in (*KINDS_OF_WORK, OTHER):
            if line.strip().startswith(kind):
                percents[kind] = float(line.removeprefix(f" {kind}").split()[1])
    assert len(percents) == len(KINDS_OF_WORK) + 1
    assert sum(percents.values()) == pytest.approx(100, abs=1)
    (trace,) = (tmp_path / "runs").glob("*/trace.json.gz")
    assert str(trace) in text
    told = json_lines(typed(*words, "--fresh", "--json").stdout)[0]
    assert told["event"] == "profile"
    assert told["trace"] == str(trace)
    assert sum(part["milliseconds"] for part in told["work"]) == pytest.approx(told["profiled_milliseconds"])
