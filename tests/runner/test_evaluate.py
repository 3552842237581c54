"""Evaluation of trained runs: from stored weights, without training, each score once, failures recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.whole_runs import Trial, notices, of_type, score_values, training_files

import gan_bench as gb
from gan_bench.core.evaluation_spec import EvaluationSpec
from gan_bench.core.events import EpochFinished, Event, GroupStarted, RunFinished, StepProgress
from gan_bench.core.records import Score
from gan_bench.losses.base import losses
from gan_bench.losses.bce import BCE
from gan_bench.metrics.base import Column, Metric, MetricFunction, metrics
from gan_bench.metrics.evaluator import Evaluator
from gan_bench.metrics.extractors.base import Features
from gan_bench.metrics.extractors.dataset_cnn import DatasetCnn
from gan_bench.runner import context
from gan_bench.store import verify
from gan_bench.store.store import Store

Make = Callable[..., Trial]
MATRIX: dict[str, Any] = {"seeds": (0, 1), "epochs": 1, "metrics": ("fid",)}
CHANGES: dict[str, dict[str, Any]] = {
    "another metric": {"metrics": ("fid", "kid")},
    "another number of samples": {"eval_samples": 150},
    "another reference split": {"reference_split": "train"},
    "more draws": {"eval_draws": 3},
    "other BatchNorm statistics": {"batch_norm": "batch"},
    "another extractor": {"extractors": ("mnist-cnn",)},
}


pytestmark = pytest.mark.xdist_group("evaluate")  # the tests share what one worker made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, score_cache: Path) -> Trial:
    """Two trained runs with their FID, to copy."""
    trial = Trial(tmp_path_factory.mktemp("trained") / "out", score_cache, MATRIX, {})
    assert all(record.succeeded for record in trial.run())
    return trial


@pytest.fixture
def again(trial: Make, trained: Trial) -> Make:
    """Make a Trial of the same matrix with changes, on a copy of the trained runs."""

    def make(**changes: Any) -> Trial:
        return trial(**{**MATRIX, **changes}).start_from(trained)

    return make


def counts(trial: Trial) -> tuple[int, int, int]:
    plan = trial.plan()
    return len(plan.finished), len(plan.to_train), len(plan.to_evaluate)


def files(trial: Trial) -> dict[Path, tuple[int, bytes]]:
    """Every file of every run, with its time of change."""
    runs = (trial.out / "runs").rglob("*")
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in runs if path.is_file()}


def assert_nothing_trained(events: list[Event]) -> None:
    assert not of_type(events, GroupStarted) + of_type(events, StepProgress) + of_type(events, EpochFinished)


def wanted_protocol(change: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a new score's protocol that a change asks for."""
    wanted = {
        "eval_samples": ("n_fake", lambda value: value),
        "reference_split": ("reference_split", lambda value: value),
        "batch_norm": ("batch_norm", lambda value: f"{value} of 500"),
        "extractors": ("extractor", lambda value: value[0]),
    }
    return {wanted[key][0]: wanted[key][1](value) for key, value in change.items() if key in wanted}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_evaluation_of_trained_runs_trains_nothing(again: Make, change: dict[str, Any]) -> None:
    more = again(**change)
    assert counts(more) == (0, 0, 2)
    trainings = [training_files(folder) for folder in more.folders()]
    before = [score_values(folder) for folder in more.folders()]
    events = more.events()
    assert_nothing_trained(events)
    assert [training_files(folder) for folder in more.folders()] == trainings
    finished = of_type(events, RunFinished)
    assert [(each.record.status, each.record.attempts, each.record.failure) for each in finished] == [
        ("done", 1, "")
    ] * 2
    for folder, earlier, (_, scores) in zip(
        more.folders(), before, ((e.record, e.scores) for e in finished), strict=True
    ):
        stored = score_values(folder)
        assert set(earlier) < set(stored), "an earlier score is lost or changed, or nothing was added"
        assert scores
        for field, value in wanted_protocol(change).items():
            assert {getattr(score.protocol, field) for score in scores} == {value}
    assert verify.inspect(more.out) == []


@pytest.mark.parametrize("change", [{}, *CHANGES.values()], ids=["the same", *CHANGES])
def test_nothing_is_evaluated_twice(again: Make, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> None:
    more = again(**change)
    more.run()
    before = files(more)
    monkeypatch.setattr(Evaluator, "score", lambda *args, **options: pytest.fail("a score was computed again"))
    assert counts(more) == (2, 0, 0)
    assert of_type(more.events(), RunFinished) == []
    gb.evaluate(["all"], more.matrix.evaluation(), more.options)
    assert files(more) == before


def test_only_missing_draws_are_evaluated(again: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    two = again(eval_draws=2)
    two.run()
    (first, _) = two.folders()
    before = score_values(first)
    score, draws = Evaluator.score, []

    def record(self: Evaluator, *args: Any, draw: int, **options: Any) -> list[Score]:
        draws.append(draw)
        return score(self, *args, draw=draw, **options)

    monkeypatch.setattr(Evaluator, "score", record)
    two.with_changes(eval_draws=3).run()
    assert draws == [2, 2], "for each of the two runs"
    after = score_values(first)
    assert set(before) < set(after)
    assert {values[1] for values in set(after) - set(before)} == {2}
    by_draw = {values[1]: values[-1] for values in after if values[0] == "fid"}
    assert list(by_draw) == [0, 1, 2]
    assert len(set(by_draw.values())) == 3, "draws of one generator are independent"


def test_a_plan_tells_finished_runs_from_those_to_train_and_to_evaluate(again: Make) -> None:
    first = again()
    run_id = first.folders()[0].name
    gb.evaluate([run_id], EvaluationSpec(metrics=("fid", "kid"), samples=160), first.options)
    wider = first.with_changes(seeds=(0, 1, 2), metrics=("kid",))
    plan = wider.plan()
    assert [spec.seed for spec in plan.finished] == [0]
    assert [spec.seed for spec in plan.to_evaluate] == [1]
    assert [spec.seed for spec in plan.to_train] == [2]
    events = wider.events()
    assert [event.run_ids[0].split("-")[-2] for event in of_type(events, GroupStarted)] == ["s2"]
    assert {event.record.run_id.split("-")[-2] for event in of_type(events, RunFinished)} == {"s1", "s2"}
    assert counts(wider) == (3, 0, 0)


def test_scores_of_stored_weights_equal_those_during_training(trial: Make) -> None:
    """The last epoch's score is the same, bit for bit, whether it is computed by --eval-every or afterwards."""
    during = trial("during", models=("dcgan28",), epochs=1, eval_every=1)
    afterwards = trial("afterwards", models=("dcgan28",), epochs=1)
    during.run()
    afterwards.run()
    last = [score for score in score_values(during.folders()[0]) if score[2] == "last"]
    assert last == score_values(afterwards.folders()[0])


def test_eval_every_on_trained_runs_is_one_notice(trial: Make) -> None:
    trial(seeds=(0, 1), epochs=2, metrics=("fid",)).run()
    late = trial(seeds=(0, 1), epochs=2, metrics=("fid",), eval_every=1)
    assert counts(late) == (2, 0, 0)
    events = late.events()
    assert notices(events) == [
        "--eval-every: the intermediate weights of 2 trained runs were not kept; --fresh trains again with it"
    ]
    assert_nothing_trained(events)


@pytest.mark.parametrize(("epochs", "eval_every"), [(2, 1), (2, 2), (1, 1)])
def test_runs_trained_with_eval_every_need_no_notice(trial: Make, epochs: int, eval_every: int) -> None:
    """Nor do runs that end before the first intermediate evaluation."""
    often = trial(epochs=epochs, eval_every=eval_every, metrics=("fid",))
    often.run()
    assert counts(trial(epochs=epochs, metrics=("fid",))) == (1, 0, 0), "it is not part of a run's identity"
    assert notices(often.events()) == []


class TestEvaluate:
    """`gb.evaluate` on stored runs."""

    KID = EvaluationSpec(metrics=("kid",), samples=160)

    @pytest.mark.parametrize("chosen", ["run id", "hash", "all"])
    def test_chosen_runs_are_evaluated_and_no_others(self, again: Make, chosen: str) -> None:
        trial = again()
        zero, one = trial.folders()
        untouched = {path: path.read_bytes() for path in one.rglob("*") if path.is_file()}
        text = {"run id": zero.name, "hash": zero.name.rpartition("-")[2][:8], "all": "all"}[chosen]
        events: list[Event] = []
        records = gb.evaluate([text], self.KID, trial.options, events.append)
        assert_nothing_trained(events)
        assert [record.run_id for record in records] == [zero.name] + [one.name] * (chosen == "all")
        assert "kid_mean" in {values[0] for values in score_values(zero)}
        if chosen != "all":
            assert {path: path.read_bytes() for path in one.rglob("*") if path.is_file()} == untouched

    def test_the_default_evaluation_has_every_metric(self, again: Make) -> None:
        trial = again()
        spec = EvaluationSpec(samples=160)
        gb.evaluate(["all"], spec, trial.options)
        expected = {"fid", "kid_mean", "inception_score_mean", "precision", "modes_covered"}
        assert expected <= {values[0] for values in score_values(trial.folders()[0])}

    @pytest.mark.parametrize(
        ("runs", "spec", "message"),
        [
            ([], KID, "no runs: name run ids, beginnings of them, or all"),
            (["nosuchrun"], KID, "run 'nosuchrun' is not in"),
            (["all"], EvaluationSpec(metrics=("kidd",)), "unknown metric 'kidd': did you mean kid"),
            (["all"], EvaluationSpec(extractors=("inceptoin",)), "unknown extractor 'inceptoin'"),
            (["all"], EvaluationSpec(metrics=("fid",), samples=16), "--eval-samples"),
        ],
    )
    def test_invalid_input_is_refused_before_anything_is_written(
        self, again: Make, runs: list[str], spec: EvaluationSpec, message: str
    ) -> None:
        trial = again()
        before = files(trial)
        with pytest.raises(gb.InputError) as error:
            gb.evaluate(runs, spec, trial.options)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
        assert files(trial) == before

    def test_a_folder_without_results_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(gb.InputError, match="it has no results; gan-bench run --out"):
            gb.evaluate(["all"], self.KID, gb.Options(out=tmp_path / "nothing", device="cpu"))
        assert list(tmp_path.iterdir()) == []


class NotFinite(BCE):
    """Diverges at the first step."""

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        return super().discriminator(real_logits, fake_logits) * float("nan")


def test_a_diverged_run_needs_no_evaluation(trial: Make, borrowed_registries: None) -> None:
    losses.register("not-finite")(NotFinite)
    diverged = trial(losses=("not-finite",), epochs=1)
    (record,) = diverged.run()
    assert (record.status, record.succeeded, record.failure) == ("diverged", True, "")
    assert counts(trial(losses=("not-finite",), epochs=1, metrics=("kid",), eval_draws=4)) == (1, 0, 0)
    with pytest.raises(gb.InputError, match="diverged"):
        gb.evaluate([record.run_id], EvaluationSpec(samples=160), diverged.options)
    with pytest.raises(gb.InputError, match="no run is done yet"):
        gb.evaluate(["all"], EvaluationSpec(samples=160), diverged.options)


class Fragile(Metric):
    """A metric that raises while `broken` is true."""

    title, source, broken = "Fragile", "a test", True

    def __init__(self, name: str) -> None:
        self.columns = (Column(name, name.title(), "lower"),)

    def bind(self, real: Features) -> MetricFunction:
        def value(fake: Features) -> Mapping[str, float]:
            if Fragile.broken:
                raise ValueError("a matrix is singular\nwith a second line")
            return {self.columns[0].name: 1.0}

        return value


def forget_evaluators() -> None:
    """Forget prepared metrics, as a new process would."""
    context._evaluators.clear()


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_failing_metric_is_recorded_and_evaluated_by_the_next_command(
    trial: Make, borrowed_registries: None, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    name = f"fragile{lanes}"  # another name for each test: reference scores are cached by name
    metrics.register(name)(Fragile(name))
    monkeypatch.setattr(Fragile, "broken", True)
    matrix = {**MATRIX, "metrics": ("fid", name), "lanes": lanes}
    failing = trial(**matrix)
    events = failing.events()
    assert any("a matrix is singular" in text for text in notices(events)), "of the reference images"
    records = [event.record for event in of_type(events, RunFinished)]
    assert [record.status for record in records] == ["done", "done"]
    for record in records:
        assert record.evaluation_failure.startswith("ValueError: a matrix is singular (")
        assert (record.succeeded, record.failure, record.reason) == (False, record.evaluation_failure, "")
        assert record.log_tail.endswith("with a second line")
        assert record.verdict == ""
    trainings = [training_files(folder) for folder in failing.folders()]
    assert counts(failing) == (0, 0, 2)
    assert counts(trial(**matrix, retry_failed=False)) == (2, 0, 0)
    assert [verify.inspect(failing.out), failing.stored()[0].scores] == [[], []]

    forget_evaluators()
    monkeypatch.setattr(Fragile, "broken", False)
    events = failing.events()
    assert_nothing_trained(events)
    for run in failing.stored():
        assert (run.record.succeeded, run.record.log_tail, run.record.attempts) == (True, "", 1)
        assert {score.metric for score in run.scores} == {"fid", name}
    assert [training_files(folder) for folder in failing.folders()] == trainings
    assert counts(failing) == (2, 0, 0)


def test_a_failing_extractor_is_recorded_and_used_by_the_next_command(
    again: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("the weights do not fit the network")

    more = again(metrics=("kid",))
    before = [score_values(folder) for folder in more.folders()]
    with monkeypatch.context() as patch:
        patch.setattr(DatasetCnn, "build", fail)
        forget_evaluators()
        records = more.run()
    assert [record.status for record in records] == ["done", "done"]
    assert all(record.evaluation_failure.startswith("RuntimeError: the weights do not") for record in records)
    assert [score_values(folder) for folder in more.folders()] == before
    forget_evaluators()
    assert counts(more) == (0, 0, 2)
    assert all(record.succeeded for record in more.run())


def fail_once(monkeypatch: pytest.MonkeyPatch, at: int = 1) -> None:
    """Let call number `at` of Evaluator.score raise."""
    score, calls = Evaluator.score, []

    def fragile(self: Evaluator, *args: Any, **options: Any) -> list[Score]:
        calls.append(args)
        if len(calls) == at:
            raise RuntimeError("the extractor failed")
        return score(self, *args, **options)

    monkeypatch.setattr(Evaluator, "score", fragile)


def test_a_failed_evaluation_leaves_the_other_runs_alone(again: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch)
    more = again(metrics=("fid", "kid"))
    zero, one = more.run()
    assert zero.evaluation_failure.startswith("RuntimeError: the extractor failed")
    assert (zero.status, one.succeeded) == ("done", True)
    assert {values[0] for values in score_values(more.folders()[0])} == {"fid"}, "its earlier score is lost"
    assert {values[0] for values in score_values(more.folders()[1])} == {"fid", "kid_mean", "kid_std"}
    assert counts(more) == (1, 0, 1)
    assert more.run()[0].succeeded


def test_a_failed_evaluation_is_retried_at_once_with_retries(again: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch)
    more = again(metrics=("fid", "kid"), retries=1)
    events = more.events()
    assert_nothing_trained(events)
    assert "retrying 1 failed run" in notices(events)
    assert all(record.succeeded for record in more.run())


def test_fail_fast_stops_after_a_failed_evaluation(again: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch)
    more = again(metrics=("fid", "kid"), fail_fast=True)
    more.run()
    assert counts(more) == (0, 0, 2), "the second run was evaluated all the same"


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "checkpoint.json"])
def test_missing_weights_are_an_evaluation_failure(again: Make, name: str) -> None:
    more = again(metrics=("kid",))
    (more.folders()[0] / name).unlink()
    zero, one = more.run()
    assert "its weights are missing or damaged; --fresh trains it again" in zero.evaluation_failure
    assert (zero.status, one.succeeded) == ("done", True)


def test_an_interrupt_between_training_and_evaluation_costs_no_training(
    trial: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written before the evaluation: the next command only evaluates."""

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    cut = trial(epochs=1, metrics=("fid",))
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "score", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cut.run()
    (folder,) = cut.folders()
    assert not list(folder.glob(".lease*"))
    assert (folder / "record.json").exists()
    training = training_files(folder)
    assert counts(cut) == (0, 0, 1)
    events = cut.events()
    assert_nothing_trained(events)
    assert training_files(folder) == training
    assert cut.stored()[0].record.attempts == 1


def test_a_worker_that_dies_while_evaluating_leaves_the_training(again: Make) -> None:
    """What the scheduler records then: the run stays done, and is evaluated by the next command."""
    more = again(metrics=("kid",))
    store = Store.open(more.out, create=False)
    (spec, _) = more.plan().to_evaluate
    record = store.record_failure(spec, "its process was killed by SIGKILL", "the last words", lanes=2)
    store.release(spec)
    assert (record.status, record.evaluation_failure) == ("done", "its process was killed by SIGKILL")
    assert counts(more) == (0, 0, 2)
    assert all(each.succeeded for each in more.run())


def test_fresh_trains_and_evaluates_again(again: Make) -> None:
    fresh = again(fresh=True)
    assert counts(fresh) == (0, 2, 0)
    events = fresh.events()
    assert len(of_type(events, GroupStarted)) == 2
    assert [event.record.attempts for event in of_type(events, RunFinished)] == [1, 1]


def test_two_extractors_are_scored_side_by_side(again: Make) -> None:
    both = again(extractors=("auto", "mnist-cnn"))
    both.run()
    for run in both.stored():
        assert {(s.metric, s.protocol.extractor) for s in run.scores} == {
            ("fid", "synthetic-cnn"),
            ("fid", "mnist-cnn"),
        }


def test_copied_results_are_evaluated_like_the_original(again: Make, trained: Trial) -> None:
    before = files(trained)
    copy = again(metrics=("kid",))
    assert all(record.succeeded for record in copy.run())
    assert files(trained) == before, "the original was changed"
