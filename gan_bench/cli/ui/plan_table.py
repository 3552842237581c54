"""The plan that `gan-bench run --dry-run` prints: one row per run, its state and its arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_bench.cli.ui.output import echo
from gan_bench.cli.ui.tables import print_rows

if TYPE_CHECKING:
    from gan_bench.core.options import Options
    from gan_bench.core.training_spec import TrainingSpec
    from gan_bench.runner.plan import Plan

FINISHED, TO_TRAIN, TO_EVALUATE = "finished", "to train", "to evaluate"


def plan_summary(plan: Plan) -> str:
    """Return, for instance, `2 runs: 1 finished, 1 to train; mnist, on cpu; preset quick: --batch-size 64`."""
    counts = {FINISHED: len(plan.finished), TO_TRAIN: len(plan.to_train), TO_EVALUATE: len(plan.to_evaluate)}
    parts = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    runs = f"{len(plan.specs)} run{'s' * (len(plan.specs) != 1)}"
    preset = f"; preset {plan.preset}: {plan.preset_options or 'sets nothing that you did not'}"
    return f"{runs}: {parts}; {plan.specs[0].dataset}, on {plan.device}{preset}"


def print_plan(plan: Plan, options: Options, as_json: bool) -> None:
    """Print a row per run with its state and arithmetic, then the counts and the total arithmetic to train."""
    rows = _rows(plan)
    if as_json:
        print_rows(rows, as_json=True)
        return
    print_rows([{key: value for key, value in row.items() if key != "run"} for row in rows], as_json=False)
    workers = f", {options.jobs} worker processes" if options.jobs > 1 else ""
    echo(f"{plan_summary(plan)}; results in {options.out}{_programs(plan, options)}{workers}")
    teraflops = [row["TFLOP"] for row in rows if row["state"] == TO_TRAIN]
    if None in teraflops:
        echo("Total arithmetic unknown: the FLOPs of some networks can't be counted.")
    elif teraflops:
        total = sum(teraflops)
        echo(f"{f'{total:,.0f}' if total >= 100 else f'{total:.3g}'} TFLOP to train.")


def _rows(plan: Plan) -> list[dict[str, Any]]:
    from gan_bench.core.numbers import rate_text
    from gan_bench.data.base import datasets
    from gan_bench.training.flops import step_flops

    rows: list[dict[str, Any]] = []
    flops: dict[str, int | None] = {}
    for spec in plan.specs:
        if spec.group_key not in flops:
            flops[spec.group_key] = step_flops(spec)
        count = flops[spec.group_key]
        steps = spec.total_steps(datasets.get(spec.dataset).train_size)
        rows.append(
            {
                "run": spec.run_id,
                "model": spec.label,
                "px": spec.image_size,
                "lr": rate_text(spec.lr_g, spec.lr_d),
                "seed": spec.seed,
                "batch": spec.batch_size,
                "steps": steps,
                "GFLOP/step": count and count / 1e9,
                "TFLOP": count and count * steps / 1e12,
                "state": _state(plan, spec),
            }
        )
    return rows


def _state(plan: Plan, spec: TrainingSpec) -> str:
    if spec in plan.finished:
        return FINISHED
    return TO_EVALUATE if spec in plan.to_evaluate else TO_TRAIN


def _programs(plan: Plan, options: Options) -> str:
    """Return the number of programs that train the runs, in words; empty if each run is a program of its own."""
    pending = plan.to_train
    comparable = len({spec.group_key for spec in pending}) < len(pending)
    if options.lanes is None and comparable and plan.device.type != "cpu":
        return ", lanes chosen by measurement (--lanes auto)"
    return f", in {len(plan.groups)} programs" if len(plan.groups) < len(pending) else ""
