"""Documents: every code block of README, CONTRIBUTING and docs is parsed, validated or executed."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from helpers.documents import DOCS, EXAMPLES, FENCE, PAGES, ROOT, Block, blocks, commands, headings
from helpers.whole_runs import Trial

import gan_bench
from gan_bench import plugins
from gan_bench.cli.main import main
from gan_bench.core.image_source import parse_source
from gan_bench.core.matrix import Matrix
from gan_bench.core.presets import PRESETS
from gan_bench.core.registry import Registry, load_plugins
from gan_bench.metrics.base import resolve_metrics
from gan_bench.metrics.extractors.lookup import find_extractor
from gan_bench.metrics.extractors.mnist_cnn import TEST_ACCURACY
from gan_bench.models.base import aliases
from gan_bench.runner.catalogue import Registries

COMMANDS = ["pip install uv && uv run gan-bench run --models vanilla,dcgan", "pip install uv && uv run pytest"]
TOOLS = {"mypy", "pytest", "ruff", "zensical"}
OTHER_PROGRAMS = {
    *("--group", "--check", "--clean", "--strict"),  # uv, ruff, zensical
    *("--isc", "--fid", "--kid", "--prc", "--rng-seed", "--kid-subset-size", "--input1-model-num-samples"),
    *("--feature-extractor", "--feature-extractor-weights-path"),
}
"""Options in the text that belong to other programs; coming-from.md maps torch-fidelity's."""
GAN_BENCH = [
    pytest.param(words[words.index("gan-bench") + 1 :], id=f"{block}:{' '.join(words)}")
    for block in blocks("bash")
    for words in commands(block.code)
    if "gan-bench" in words
]
SCRIPTS = [block for block in blocks("python") if not block.title]
PLUGINS = [block for block in blocks("python") if block.title]
SCRIPTED_PAGES = sorted({block.page for block in SCRIPTS})


@pytest.fixture
def plugin_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The plugin examples, loaded; afterwards the registries are as before."""
    for registry in registries().values():
        registry.names()  # discovers what is built in
        monkeypatch.setattr(registry, "_objects", dict(registry._objects))
    files = []
    for block in PLUGINS:
        file = tmp_path / block.title
        file.write_text(block.code)
        files.append(file)
    load_plugins(files)
    return files


def registries() -> dict[str, Registry[Any]]:
    """Every registry that plugins can add to, by its entry-point group."""
    found = [value for value in vars(plugins).values() if isinstance(value, Registry)]
    return {registry.group: registry for registry in found}


def test_every_block_is_of_a_checked_language() -> None:
    for block in blocks():
        assert block.language in ("", "bash", "python", "toml"), block
        assert block.language or "gan-bench " not in block.code, f"{block}: commands without a language"


def test_bash_blocks_call_known_programs_only() -> None:
    for block in blocks("bash"):
        for words in commands(block.code):
            line = " ".join(words).removeprefix("uv run ").removeprefix("--group docs ")
            program = line.removeprefix("python ").split()[0]
            known = {"gan-bench", "pip", "uv", *TOOLS}
            assert program in known or (ROOT / program).is_file(), f"{block}: {line}"


@pytest.mark.usefixtures("plugin_files")
@pytest.mark.parametrize("words", GAN_BENCH)
def test_the_command_line_is_valid(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Options, choices, names and recipe values exist; nothing is started."""
    monkeypatch.chdir(ROOT)
    name, *arguments = words
    command = main.commands[name]
    context = command.make_context(f"gan-bench {name}", arguments)
    check_names(context.params)
    if name == "run":
        check_expansion(matrix_of(words, monkeypatch), context.params["preset"])


def check_names(params: dict[str, Any]) -> None:
    """Look up every name that a command was given."""
    groups = registries()
    for key in ("losses", "penalties"):
        for name in split(params.get(key)):
            assert name == "none" or name in groups[f"gan_bench.{key}"], name
    for name in split([*(params.get("models") or ()), params.get("model")]):
        assert name in groups["gan_bench.models"] or name in (*aliases(), "all"), name
    resolve_metrics(split(params.get("metrics")))
    for name in split(params.get("extractors")):
        assert name == "auto" or find_extractor(name)


def split(values: Any) -> list[str]:
    return [name for text in values or () if text for name in text.split(",")]


def matrix_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """The matrix that `gan-bench run` hands to the planner, which is not called."""
    handed: list[Matrix] = []

    def plan(matrix: Matrix, *_: object) -> None:
        handed.append(matrix)
        raise click.ClickException("planned")

    monkeypatch.setattr("gan_bench.runner.plan.plan", plan)
    result = CliRunner().invoke(main, words)
    assert handed, result.output
    return handed[0]


def check_expansion(matrix: Matrix, preset: str | None) -> None:
    """Names, losses with their penalties, image sizes and `--set` values fit each other."""
    matrix = matrix.with_preset(preset or "quick")
    dataset = "digits" if matrix.dataset == "auto" or parse_source(matrix.dataset) else matrix.dataset
    assert matrix.model_copy(update={"dataset": dataset}).expand(Registries())


@pytest.mark.usefixtures("plugin_files")
@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_the_toml_is_a_matrix_file_or_declares_entry_points(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = tomllib.loads(block.code)
    if "project" in parsed:
        groups = parsed["project"]["entry-points"]
        assert set(groups) <= set(registries())
        for group, entries in groups.items():
            assert set(entries) <= set(registries()[group]), "no example registers this name"
        return
    file = tmp_path / "matrix.toml"
    file.write_text(block.code)
    context = main.commands["run"].make_context("gan-bench run", ["--matrix", str(file)])
    check_names(context.params)
    check_expansion(matrix_of(["run", "--matrix", str(file)], monkeypatch), context.params["preset"])


def test_the_first_matrix_file_is_the_one_of_the_reference_result() -> None:
    (block,) = blocks("toml", "docs/models.md")
    assert tomllib.loads(block.code) == tomllib.loads((ROOT / "benchmarks" / "first.toml").read_text())


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_blocks_compile_and_import_what_exists(block: Block) -> None:
    tree = ast.parse(block.code, str(block))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gan_bench":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
            if block.title:
                assert node.module == "gan_bench.plugins"
                assert {alias.name for alias in node.names} <= set(plugins.__all__)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gb":
            assert node.attr in gan_bench.__all__, f"gb.{node.attr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", SCRIPTED_PAGES)
def test_python_blocks_of_a_page_run_one_after_another(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score_cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(score_cache))
    namespace: dict[str, Any] = {"__name__": "example"}
    for block in SCRIPTS:
        if block.page == page:
            exec(compile(block.code, str(block), "exec"), namespace)


def test_every_plugin_example_registers_what_its_command_uses(plugin_files: list[Path]) -> None:
    names = {name for registry in registries().values() for name in registry}
    for block, file in zip(PLUGINS, plugin_files, strict=True):
        registered = re.findall(r'\b(?:register|plot)\("([a-z0-9._-]+)"', block.code)
        assert registered, file
        assert set(registered) <= names
        assert f"--plugin {file.name}" in EXAMPLES[block.page]


def test_the_plugin_examples_work_together(trial: Callable[..., Trial], plugin_files: list[Path]) -> None:
    """One small run of each model example, with the data set, loss, penalty, metric, extractor and plot."""
    example = trial(
        models=("shallow", "shallow-conditional", "spectral"),
        losses=("least-squares",),
        penalties=("drift",),
        dataset="stripes",
        metrics=("fid", "mean-distance"),
        extractors=("pixels",),
        epochs=1,
        settings={"width": 0.0625, "drift_weight": 0.01},
        plugins=tuple(plugin_files),
    )
    records = example.run()
    assert [record.status for record in records] == ["done"] * 3, records
    for run in example.stored():
        assert {score.metric for score in run.scores} == {"fid", "mean_distance"}
    paths = gan_bench.write_report(example.out)
    assert (paths.page.parent / "plots" / "memory.png").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    text = FENCE.sub("", PAGES[page])
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if page.startswith("docs/"):
            assert file.resolve().parent == DOCS, f"{target}: outside of the site"
        if anchor:
            assert anchor in headings(file.read_text()), target


def test_the_site_lists_every_page() -> None:
    listed = re.findall(r": ([a-z-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_two_commands_of_the_readme_stand_alone(command: str) -> None:
    assert f"{command}\n" in [block.code for block in blocks("bash", "README.md")]


def test_the_readme_lists_every_command() -> None:
    rows = re.findall(r"^\| `gan-bench ([a-z]+)", PAGES["README.md"], re.MULTILINE)
    assert sorted(rows) == sorted(main.commands)


def test_the_readme_lists_every_kind_of_gan_bench_list() -> None:
    (row,) = re.findall(r"^\| `gan-bench list KIND` \| (.*) \|$", PAGES["README.md"], re.MULTILINE)
    (kind,) = (param.type for param in main.commands["list"].params if param.name == "kind")
    assert isinstance(kind, click.Choice)
    assert sorted(re.findall(r"`(\w+)`", row)) == sorted(kind.choices)


def test_the_plugin_page_names_every_entry_point_group() -> None:
    assert set(re.findall(r"`(gan_bench\.\w+)`", PAGES["docs/plugins.md"])) == {*registries(), "gan_bench.plugins"}


def test_every_option_in_the_text_exists() -> None:
    params = [param for name in main.commands for param in main.commands[name].params]
    known = {text for param in params for text in (*param.opts, *param.secondary_opts)}
    for page, text in EXAMPLES.items():
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
        assert named <= known | {"--help"} | OTHER_PROGRAMS, page


def rows(page: str) -> set[str]:
    """Names in the first column of a page's tables."""
    first = re.findall(r"^\| ([^|]+) \|", PAGES[page], re.MULTILINE)
    return {name for cell in first for name in re.findall(r"`([a-z0-9-]+)`", cell)}


def test_every_registered_object_has_its_row() -> None:
    groups = {
        kind: set(registries()[f"gan_bench.{kind}"]) for kind in ("models", "losses", "penalties", "datasets")
    }
    documented = rows("docs/models.md")
    for kind, names in {**groups, "presets": set(PRESETS)}.items():
        assert names <= documented, kind
    assert documented == set().union(*groups.values(), PRESETS)
    assert set(registries()["gan_bench.metrics"]) <= rows("docs/scores.md")


def test_the_api_page_documents_every_public_name() -> None:
    page = PAGES["docs/api.md"]
    documented = {name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)}
    registered = set(re.findall(r"`(\w+)`", page))
    public = {name for name in (*gan_bench.__all__, *plugins.__all__) if not name.startswith("__")}
    assert public <= documented | {
        name for name in registered if isinstance(getattr(plugins, name, None), Registry)
    }


def test_the_accuracy_is_that_of_the_shipped_classifier() -> None:
    assert f"{TEST_ACCURACY:.2%} of MNIST's 10,000 test images" in " ".join(PAGES["docs/scores.md"].split())
