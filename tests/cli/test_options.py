"""Options that commands share: built from the fields of Options, declared once, listed in the help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from helpers.cli_words import Invoke

from gan_bench.cli import options as shared
from gan_bench.cli.main import COMMANDS, main
from gan_bench.core.errors import InputError
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.option_fields import Flag, MatrixFields, OptionFields
from gan_bench.core.options import Options

FLAGS = {
    name: next(item for item in field.metadata if isinstance(item, Flag))
    for name, field in Options.model_fields.items()
    if any(isinstance(item, Flag) for item in field.metadata)
}


@click.command()
@shared.run_options
def options_only(**given: Any) -> Options:
    return shared.make_options(given)


def parse(*words: str) -> Options:
    options: Options = options_only.main(list(words), standalone_mode=False)
    return options


@pytest.mark.parametrize("name", FLAGS)
def test_run_help_lists_every_field_of_options(invoke: Invoke, name: str) -> None:
    flag = FLAGS[name]
    text = " ".join(invoke("run", "--help").stdout.split())
    for option in (flag.name or f"--{name.replace('_', '-')}", flag.off, flag.short):
        assert option is None or re.search(rf"(?<![\w-]){option}(?![\w-])", text)
    assert flag.help in text


def test_options_without_arguments_are_the_defaults_of_python() -> None:
    assert parse() == Options()


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("--preset", "smoke"), "preset", "smoke"),
        (("--eval-every", "3"), "eval_every", 3),
        (("-j", "2"), "jobs", 2),
        (("--lanes", "auto"), "lanes", None),
        (("--lanes", "1024"), "lanes", 1024),
        (("--out", "~/x"), "out", Path.home() / "x"),
        (("--data-root", "~/x"), "data_root", Path.home() / "x"),
        (("--plugin", "a.py", "--plugin", "~/b.py"), "plugins", (Path.cwd() / "a.py", Path.home() / "b.py")),
        (("--offline",), "offline", True),
        (("--no-retry-failed",), "retry_failed", False),
        (("--run-timeout", "15m"), "run_timeout", 900.0),
        (("--checkpoint-every", "2h"), "checkpoint_every", 7200.0),
        (("--cpu-kernels", "pytorch"), "cpu_kernels", "pytorch"),
    ],
)
def test_an_option_sets_its_field_only(words: tuple[str, ...], field: str, value: object) -> None:
    options = parse(*words)
    assert options.model_dump() == {**Options().model_dump(), field: value}


class Fields:
    """Fields of every kind that has a form on the command line."""

    bounded: Annotated[int | None, Flag("n")] = None
    choice: Literal["a", "b"] | None = None
    number: Literal[1, 2] = 1
    text: str = ""
    switch: bool = False
    many: dict[str, int] = {}


def test_field_types_follow_from_annotations() -> None:
    assert isinstance(shared.field_type(Fields, "bounded"), click.IntRange)
    assert shared.field_type(Fields, "choice").choices == ("a", "b")
    assert shared.field_type(Fields, "number").choices == ("1", "2")
    assert shared.field_type(Fields, "text") is shared.field_type(Fields, "switch") is None
    with pytest.raises(TypeError, match=r"Fields\.many"):
        shared.field_type(Fields, "many")


def test_limits_come_from_the_model() -> None:
    jobs = shared.field_type(OptionFields, "jobs")
    assert (jobs.min, jobs.max) == (1, 1024)
    with pytest.raises(InputError):
        Options(jobs=1025)


def test_evaluation_options_make_an_evaluation_spec() -> None:
    empty: dict[str, Any] = {"metrics": (), "extractors": (), "eval_samples": None, "eval_draws": None}
    empty |= {"reference_split": None, "batch_norm": None}
    assert EvaluationSpec.from_options(shared.field_values(MatrixFields, empty)) == EvaluationSpec()
    given = {**empty, "metrics": ("fid,kid", "is"), "eval_draws": 5, "reference_split": "train"}
    spec = EvaluationSpec(metrics=("fid", "kid", "is"), draws=5, reference_split="train")
    assert EvaluationSpec.from_options(shared.field_values(MatrixFields, given)) == spec


def test_every_command_has_a_short_help_and_a_help_that_fits_90_columns(invoke: Invoke) -> None:
    overview = invoke("--help").stdout
    assert "..." not in overview.partition("Commands:")[2].replace("metrics, ...", "")
    for name in main.commands:
        command = main.commands[name]
        assert re.search(rf"^  {name} +\S", overview, re.MULTILINE)
        text = invoke(name, "--help").stdout
        assert "Usage: gan-bench" in text
        assert all(len(line) <= 90 for line in text.splitlines())
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, name
    assert set(main.commands) == set(COMMANDS)


def test_options_of_one_name_share_their_declaration() -> None:
    """--out of `sample` is a file; everything else is declared once."""
    helps: dict[str, set[str | None]] = {}
    for name in main.commands:
        for option in main.commands[name].params:
            if isinstance(option, click.Option) and (name, option.name) != ("sample", "out"):
                helps.setdefault(max(option.opts, key=len), set()).add(option.help)
    own_help = {"--batch-size"}  # `show` explains what it needs it for
    assert {option for option, texts in helps.items() if len(texts) > 1} <= own_help
