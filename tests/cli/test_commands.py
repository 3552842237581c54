"""The commands on a small results folder: output, exit codes, and files that stay unchanged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from helpers.cli_words import RUN, SMALL, Invoke, json_lines
from helpers.made_runs import build_many
from PIL import Image

from gan_bench.cli.list import KINDS
from gan_bench.models.base import models
from gan_bench.training import profile

pytestmark = pytest.mark.xdist_group("cli")  # one worker trains the runs of `first`

PLUGIN = """
from gan_bench.losses.bce import BCE
from gan_bench.plugins import losses

@losses.register("cli-plugged")
class Plugged(BCE):
    title = "plugged in"
"""

MODEL_PLUGIN = """
from gan_bench.models.vanilla import Vanilla
from gan_bench.plugins import models

@models.register("cli-plugged")
class Plugged(Vanilla):
    title = "plugged in"
"""


def _times(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in (out / "runs").rglob("*")}


def test_run_prints_a_table_and_the_page(first: tuple[Result, Path]) -> None:
    result, out = first
    assert result.exit_code == 0, result.output
    models_shown = [line.split()[0] for line in result.stdout.splitlines() if "e-4  " in line]
    assert sorted(models_shown) == ["dcgan28", "vanilla"]
    assert f"Report: {out / 'report' / 'index.html'}" in result.stdout
    assert (out / "report" / "index.html").is_file()


def test_runs_prints_a_row_for_each_run(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    for command in (("report", out), (*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out)):
        lines = [line.split() for line in invoke(*command, "--runs").stdout.splitlines()]
        assert sum(line[:2] in (["vanilla", "28"], ["dcgan28", "28"]) for line in lines) == 4


def test_the_same_command_again_writes_nothing_and_prints_the_same_results(
    invoke: Invoke, first: tuple[Result, Path]
) -> None:
    earlier, out = first
    before = _times(out)
    result = invoke(*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out)
    assert result.exit_code == 0
    assert "4 runs: 4 finished; digits, on cpu; preset smoke: sets nothing" in result.stderr
    assert result.stdout == earlier.stdout
    assert _times(out) == before


def test_json_prints_runs_that_were_finished_earlier(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    result = invoke(*SMALL, "--models", "vanilla", "--seeds", "0-1", "--out", out, "--json")
    lines = json_lines(result.stdout)
    assert [line["event"] for line in lines] == ["finished", "finished"]
    assert all(line["earlier"] and line["scores"]["fid"] > 0 for line in lines)
    assert {line["run_id"].split("-s")[1][0] for line in lines} == {"0", "1"}


def test_json_prints_epochs_and_finished_runs(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(*SMALL, "--models", "vanilla", "--out", tmp_path / "out", "--json", "--fail-fast")
    lines = json_lines(result.stdout)
    assert [line["event"] for line in lines] == ["epoch", "epoch", "epoch", "finished"]
    assert [line["epoch"] for line in lines[:3]] == [1, 2, 3]
    assert not lines[-1]["earlier"]
    assert lines[-1]["scores"]["fid"] > 0


def test_fresh_trains_again(invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for extra in ((), ("--fresh",)):
        result = invoke(*SMALL, "--models", "vanilla", "--out", out, *extra)
        assert result.exit_code == 0
        assert "1 run: 1 to train; digits" in result.stderr
        assert "1/1 done" in result.stderr


def test_a_loss_of_a_plugin_can_be_run(invoke: Invoke, tmp_path: Path, borrowed_registries: None) -> None:
    plugin = tmp_path / "plugged.py"
    plugin.write_text(PLUGIN)
    words = ("--models", "vanilla", "--losses", "cli-plugged", "--plugin", plugin)
    result = invoke(*SMALL, *words, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "vanilla/cli-plugged" in result.stdout


def test_dry_run_downloads_nothing_and_makes_no_folder(invoke: Invoke, tmp_path: Path) -> None:
    words = ("run", "--models", "vanilla", "--dataset", "mnist", "--data-root", tmp_path / "data" / "mistyped")
    result = invoke(*words, "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 2
    assert "mistyped/MNIST/raw" in result.stderr
    assert "--dry-run was given" in result.stderr
    assert not list(tmp_path.iterdir())


def test_dry_run_shows_the_plan_and_writes_nothing(
    invoke: Invoke, first: tuple[Result, Path], tmp_path: Path
) -> None:
    _, out = first
    words = (*SMALL, "--models", "vanilla", "--seeds", "0-2", "--dry-run")
    rows = json_lines(invoke(*words, "--out", out, "--json").stdout)
    assert [row["state"] for row in rows] == ["finished", "finished", "to train"]
    result = invoke(*words, "--out", tmp_path / "new")
    summary = "3 runs: 3 to train; digits, on cpu; preset smoke: sets nothing that you did not; results in"
    assert f"{summary} {tmp_path / 'new'}\n" in result.stdout
    assert re.search(r"\d TFLOP to train\.", result.stdout)
    assert not (tmp_path / "new").exists()


def test_another_metric_is_computed_from_stored_weights(
    invoke: Invoke, first: tuple[Result, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(first[1], tmp_path / "out"))
    before = _times(out)
    words = (*SMALL, "--models", "vanilla,dcgan", "--seeds", "0-1", "--out", out)
    result = invoke(*words, "--metrics", "fid,kid")
    assert result.exit_code == 0, result.output
    assert "4 runs: 4 to evaluate; digits" in result.stderr
    assert "epoch" not in result.stderr
    assert "KID" in result.stdout
    unchanged = {
        path: time for path, time in _times(out).items() if path.suffix in (".csv", ".safetensors", ".png")
    }
    assert unchanged == {path: before[path] for path in unchanged}
    again = invoke(*words, "--metrics", "fid,kid")
    assert "4 runs: 4 finished; digits" in again.stderr
    assert again.stdout == result.stdout


def test_dry_run_counts_runs_to_train_and_to_evaluate(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    before = _times(out)
    words = (*SMALL, "--models", "vanilla", "--seeds", "0-2", "--metrics", "fid,kid", "--dry-run", "--out", out)
    rows = json_lines(invoke(*words, "--json").stdout)
    assert [row["state"] for row in rows] == ["to evaluate", "to evaluate", "to train"]
    result = invoke(*words)
    assert "3 runs: 1 to train, 2 to evaluate; digits" in result.stdout
    assert result.stderr.startswith("3 runs: 1 to train, 2 to evaluate; digits")
    assert _times(out) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--seeds", "0-2", "--lanes", "2", "--jobs", "2"), "new, in 2 programs, 2 worker processes\n"),
        (("--seeds", "0-2", "--lanes", "1"), "new\n"),
        (("--seeds", "0"), "new\n"),
    ],
)
def test_dry_run_prints_the_number_of_programs(
    invoke: Invoke, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    result = invoke(*SMALL, "--models", "vanilla", "--dry-run", "--out", tmp_path / "new", *options)
    assert expected in result.stdout


DATA_DEPENDENT = """
from torch import nn
from gan_bench.models.vanilla import Vanilla
from gan_bench.plugins import models

class DataDependent(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        if x.mean() > 5:
            raise ValueError("not images")
        return self.net(x)

@models.register("data-dependent")
class DataDependentVanilla(Vanilla):
    def discriminator(self):
        return DataDependent(super().discriminator())
"""


def test_a_network_whose_flops_cannot_be_counted_is_trained(
    invoke: Invoke, tmp_path: Path, borrowed_registries: None
) -> None:
    """Its control flow depends on values: it runs neither on meta tensors nor as lanes of one program."""
    plugin = tmp_path / "data_dependent.py"
    plugin.write_text(DATA_DEPENDENT)
    words = (*SMALL, "--models", "data-dependent", "--seeds", "0-1", "--plugin", plugin, "--out", tmp_path / "out")
    planned = invoke(*words, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "Total arithmetic unknown" in planned.stdout
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert [row["status"] for row in json_lines(invoke("status", tmp_path / "out", "--json").stdout)] == [
        "done"
    ] * 2


def test_an_empty_folder_is_accepted_as_results_folder(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke(*SMALL, "--models", "vanilla", "--out", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output


def test_a_matrix_file_sets_what_the_command_line_does_not(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(
        'models = ["vanilla", "dcgan"]\nseeds = [0, "2-3"]\nlrs = [1e-4, "4e-4:1e-4"]\nimage_size = 28\n'
        'penalties = ["none", "r1"]\neval_draws = 2\nreference-split = "train"\ncheckpoint-every = 30\n'
        "batch-size = 64\noffline = true\nlanes = 2\n[set]\nwidth = 0.25\n"
    )
    words = (*RUN, "--matrix", file, "--dry-run", "--json", "--batch-size", "32", "--seeds", "7")
    rows = json_lines(invoke(*words).stdout)
    assert {(row["model"], row["lr"], row["seed"], row["batch"]) for row in rows} == {
        (model, rate, 7, 32)
        for model in ("vanilla", "vanilla+r1", "dcgan28", "dcgan28+r1")
        for rate in ("1e-4", "4e-4:1e-4")
    }


def test_report_prints_the_page_or_the_leaderboard_as_json(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    result = invoke("report", out)
    assert result.exit_code == 0
    assert "index.html" in result.stdout
    board = json_lines(invoke("report", out, "--json").stdout)
    assert {row["model"] for row in board} == {"vanilla", "dcgan28"}
    assert all(row["n"] == 2 for row in board)


def test_status_counts_runs(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    result = invoke("status", out)
    assert result.exit_code == 0
    assert result.stdout.rstrip().endswith("4 done")
    assert [row["status"] for row in json_lines(invoke("status", out, "--json").stdout)] == ["done"] * 4


def test_sample_draws_the_same_grid_for_the_same_seed(
    invoke: Invoke, first: tuple[Result, Path], tmp_path: Path
) -> None:
    _, out = first
    run = next(iter(sorted((out / "runs").iterdir())))
    grids = []
    for name, seed, which in (("a", 3, run.name), ("b", 3, run), ("c", 4, run.name[:-4])):
        file = tmp_path / f"{name}.png"
        assert invoke("sample", which, "--dir", out, "--n", 9, "--seed", seed, "--out", file).exit_code == 0
        grids.append(Image.open(file).tobytes())
    assert grids[0] == grids[1] != grids[2]


def test_sample_draws_from_the_best_checkpoint_of_a_run_with_eval_every(
    invoke: Invoke, first: tuple[Result, Path], tmp_path: Path
) -> None:
    _, out = first
    run = next(iter(sorted((out / "runs").iterdir()))).name
    words = ("--checkpoint", "best", "--out", tmp_path / "grid.png")
    refused = invoke("sample", run, "--dir", out, *words)
    assert refused.exit_code == 2
    assert "no best checkpoint" in refused.stderr
    assert "--eval-every" in refused.stderr
    trained = invoke(*SMALL, "--models", "vanilla", "--eval-every", "1", "--out", tmp_path / "out")
    assert trained.exit_code == 0, trained.output
    assert invoke("sample", "vanilla", "--dir", tmp_path / "out", *words).exit_code == 0
    assert (tmp_path / "grid.png").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_list(invoke: Invoke, kind: str) -> None:
    rows = json_lines(invoke("list", kind, "--json").stdout)
    assert rows
    table = invoke("list", kind)
    assert table.exit_code == 0
    for row in rows:
        assert next(iter(row.values())) in table.stdout


@pytest.mark.parametrize("model", models.names())
def test_show(invoke: Invoke, model: str) -> None:
    result = invoke("show", model)
    assert result.exit_code == 0
    assert "Generator," in result.stdout
    *layers, about = json_lines(invoke("show", model, "--json").stdout)
    assert all({"layer", "output", "parameters"} <= layer.keys() for layer in layers)
    assert any("GFLOP" in str(value) for value in about.values())


def test_a_model_of_a_plugin_can_be_shown_and_sampled(
    invoke: Invoke, tmp_path: Path, borrowed_registries: None
) -> None:
    plugins = [tmp_path / f"plugin{number}.py" for number in range(3)]  # each file is executed once per process
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
            patch.setattr(models, "_objects", dict(models._objects))  # as in a new process
            result = invoke(*command, "--plugin", plugin)
            assert result.exit_code == 0, result.output
    assert (tmp_path / "grid.png").is_file()


def test_doctor_names_problems_and_fixes(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rows = {
        row["check"]: row
        for row in json_lines(
            invoke("doctor", "--json", "--out", tmp_path / "file", "--data-root", tmp_path / "file").stdout
        )
    }
    assert rows["data: digits"]["found"] == "available"
    assert rows["data: mnist"]["found"] == "missing"
    assert "is a file" in rows["data folder"]["fix"]
    assert "another --out" in rows["disk"]["fix"]


def test_doctor_ends_with_what_is_ready_and_what_is_missing(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("doctor", "--data-root", tmp_path)
    ready, _, missing = result.stdout.splitlines()[-1].partition(". Missing: ")
    assert ready.startswith("Ready: cpu")
    assert "mnist-cnn" in ready
    assert re.search(r"data [^;]*\bdigits\b", ready)
    assert re.search(r"data [^;]*\bmnist\b", missing)
    assert invoke("doctor", "--data-root", tmp_path, "--json").stdout.count("Ready") == 0


def test_compare_prints_the_difference_and_its_certainty(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    result = invoke("compare", "vanilla", "dcgan28", out)
    assert result.exit_code == 0, result.output
    assert "vanilla: FID" in result.stdout
    assert "dcgan28: FID" in result.stdout
    assert "mean over 2 trainings; too few for an interval" in result.stdout
    (line,) = json_lines(invoke("compare", "vanilla", "dcgan28", out, "--json").stdout)
    assert line["metric"] == "fid"
    by_alias = invoke("compare", "vanilla", "dcgan", out)
    assert by_alias.stdout == result.stdout.replace("dcgan28", "dcgan")
    swapped = json_lines(invoke("compare", "dcgan28", "vanilla", out, "--json").stdout)[0]
    assert line["a"] == swapped["b"]
    assert line["a"]["mean"] != line["b"]["mean"]


@pytest.mark.parametrize(
    ("sides", "seeds", "code"),
    [
        (("vanilla", "dcgan28"), 6, 1),
        (("dcgan28", "vanilla"), 6, 0),
        (("dcgan28", "dcgan28"), 6, 0),
        (("vanilla", "dcgan28"), 2, 0),  # too few seeds for a claim
    ],
)
def test_compare_can_fail_where_the_first_is_clearly_worse(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sides: tuple[str, str], seeds: int, code: int
) -> None:
    runs = build_many(tmp_path, seeds=range(seeds), lrs=(2e-4,), pictures=False)
    monkeypatch.setattr(
        "gan_bench.cli.compare._side", lambda name, folder: [run for run in runs if run.spec.model == name]
    )
    result = invoke("compare", *sides, "--fail-if-worse")
    assert (result.exit_code, "FID" in result.stdout) == (code, True)
    assert invoke("compare", *sides).exit_code == 0


def test_compare_refuses_unknown_models_and_mixed_folders(invoke: Invoke, first: tuple[Result, Path]) -> None:
    _, out = first
    unknown = invoke("compare", "vanila", "dcgan28", out)
    assert unknown.exit_code == 2
    assert "did you mean vanilla" in unknown.stderr
    mixed = invoke("compare", out, "vanilla", out)
    assert mixed.exit_code == 2
    assert "not repetitions of one training" in mixed.stderr


def test_profile_prints_operators_and_keeps_a_trace(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "SECONDS", 0.0)
    text = invoke(*SMALL, "--models", "vanilla", "--profile", "--out", tmp_path).stdout
    assert "vanilla  lr 2e-4  seed 0: a step takes " in text
    assert any(line.split()[0].startswith("aten::") for line in text.splitlines() if line.strip())
    (trace,) = (tmp_path / "runs").glob("*/trace.json.gz")
    assert str(trace) in text
