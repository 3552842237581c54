"""gan-bench eval: which runs are chosen, and scores computed from stored weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result
from helpers.cli_words import Invoke, json_lines
from helpers.toy_run import toy_spec, train

from gan_bench.cli.eval import typed_runs
from gan_bench.core.errors import InputError
from gan_bench.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two runs that are done and one that failed."""
    store = Store.open(tmp_path / "out", create=True)
    for seed in (0, 1):
        train(store, toy_spec(seed))
    store.record_failure(toy_spec(2), "its process died")
    return store


def seeds(store: Store, *texts: str) -> list[int]:
    return [run.spec.seed for run in typed_runs(store, texts)]


def test_a_run_id_its_folder_and_its_hash_choose_one_run(store: Store) -> None:
    spec = toy_spec(1)
    for text in (spec.run_id, str(store.root / "runs" / spec.run_id), spec.sha256[:10]):
        assert seeds(store, text) == [1]


def test_a_beginning_chooses_every_run_that_is_done_and_starts_with_it(store: Store) -> None:
    assert seeds(store, "vanilla") == seeds(store, "all") == [0, 1]
    assert seeds(store, toy_spec(1).run_id, "vanilla") == [1, 0]


def test_runs_that_are_not_done_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is failed: only runs that are done"):
        typed_runs(store, [toy_spec(2).run_id])
    with pytest.raises(InputError, match="no run is done yet"):
        typed_runs(Store.open(tmp_path / "empty", create=True), ["all"])


def test_a_run_of_another_results_folder_is_refused(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other", create=True)
    train(other, toy_spec(0))
    with pytest.raises(InputError, match=f"type --out {other.root}"):
        typed_runs(store, [str(other.root / "runs" / toy_spec(0).run_id)])


@pytest.mark.xdist_group("cli")
def test_eval_adds_scores_of_another_protocol_once(
    invoke: Invoke, first: tuple[Result, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(first[1], tmp_path / "out"))
    words = (
        "eval",
        "dcgan28",
        "--metrics",
        "kid",
        "--eval-samples",
        "200",
        "--eval-draws",
        "2",
        "--batch-norm",
        "batch",
    )
    words += ("--reference-split", "train", "--extractors", "mnist-cnn", "--offline", "--out", str(out))
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    assert "2 runs to evaluate in" in result.stderr
    lines = [line for line in json_lines(result.stdout) if line["event"] == "finished"]
    assert [set(line["scores"]) for line in lines] == [{"kid_mean", "kid_std"}] * 2
    for run in Store.open(out, create=False).runs():
        added = [score for score in run.scores if score.protocol.n_fake == 200]
        assert {score.draw for score in added} == ({0, 1} if run.spec.model == "dcgan28" else set())
        assert {score.protocol.reference_split for score in added} <= {"train"}
        assert {score.protocol.batch_norm for score in added} <= {"batch of 500"}
    stored = {path: path.read_bytes() for path in out.glob("runs/*/scores.json")}
    again = invoke(*words)
    assert again.exit_code == 0, again.output
    assert "KID" in again.stdout
    assert {path: path.read_bytes() for path in stored} == stored
