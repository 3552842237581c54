"""What README.md and CONTRIBUTING.md promise is there, and their examples work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from whole_runs import Trial

from gan_bench.cli.group import main
from gan_bench.matrix import PRESETS
from gan_bench.metrics.extractors.mnist_cnn import TEST_ACCURACY
from gan_bench.models.model import models
from gan_bench.registry import load_plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()

COMMANDS = ["pip install uv && uv run gan-bench run --models vanilla,dcgan", "pip install uv && uv run pytest"]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_two_commands_stand_alone(command: str) -> None:
    assert f"{command}\n" in blocks(README, "bash")


def test_every_command_and_option_in_the_readme_is_there() -> None:
    for name in re.findall(r"gan-bench ([a-z]+)", README):
        assert name in main.commands, f"gan-bench {name}"
    params = [param for command in main.commands.values() for param in command.params]
    known = {text for param in params for text in (*param.opts, *param.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known | {"--help"}


def test_every_model_and_preset_has_its_row() -> None:
    rows = set(re.findall(r"^\| `([a-z0-9-]+)` \|", README, re.MULTILINE))
    assert set(models) | set(PRESETS) == rows


def test_the_accuracy_is_the_one_of_the_shipped_classifier() -> None:
    assert f"{TEST_ACCURACY:.2%} of MNIST's 10,000 test images" in README


def test_links_lead_to_files_that_are_there() -> None:
    for text in (README, CONTRIBUTING):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / target).exists(), target


def test_the_readme_s_python_is_python_and_names_what_is_there() -> None:
    import gan_bench

    (code,) = blocks(README, "python")
    compile(code, "README.md", "exec")
    assert set(re.findall(r"\bgb\.(\w+)", README)) <= set(gan_bench.__all__)


@pytest.mark.usefixtures("borrowed_registries")
def test_the_example_model_works(trial: Callable[..., Trial], tmp_path: Path) -> None:
    (code,) = blocks(CONTRIBUTING, "python")
    file = tmp_path / "shallow.py"
    file.write_text(code)
    load_plugins([file])
    example = trial(models=("shallow",), epochs=1, settings={"width": 0.0625, "slope": 0.1}, plugins=(file,))
    (record,) = example.run()
    assert record.status == "done"
