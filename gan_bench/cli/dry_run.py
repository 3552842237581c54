"""What `gan-bench run --dry-run` shows: the plan as a table, with its cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli.tables import print_rows

if TYPE_CHECKING:
    import torch

    from gan_bench.planning import Plan
    from gan_bench.spec import Precision, RunSpec

PROBE_SECONDS = 0.3
PROBE_SIZE = 1024


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print every run with its parameters and arithmetic; say what the device can do at best."""
    from gan_bench.data.dataset import datasets
    from gan_bench.report.frame import rate_text
    from gan_bench.training.flops import step_flops

    rows: list[dict[str, Any]] = []
    flops: dict[RunSpec, int | None] = {}
    for spec in plan.specs:
        alike = spec.model_copy(update={"seed": 0, "lr_g": 1e-4, "lr_d": 1e-4})
        if alike not in flops:
            flops[alike] = step_flops(alike)
        count = flops[alike]
        per_epoch = datasets.get(spec.dataset).train_size // spec.batch_size
        steps = spec.steps or (spec.epochs or 0) * per_epoch
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
                "state": "finished" if spec in plan.finished else "to do",
            }
        )
    if as_json:
        print_rows(rows, as_json=True)
        return
    print_rows([{key: value for key, value in row.items() if key != "run"} for row in rows], as_json=False)
    jobs = f", {plan.options.jobs} worker processes" if plan.options.jobs > 1 else ""
    click.echo(
        f"{len(rows)} runs, {len(plan.finished)} finished, {_programs(plan)}{jobs}; "
        f"preset {plan.preset}; {plan.specs[0].dataset}; results go to {plan.options.out}"
    )
    left = [row["TFLOP"] for row in rows if row["state"] == "to do"]
    if None in left:
        click.echo("how much is left can't be said: the arithmetic of some nets can't be counted")
    elif left:
        click.echo(_cost(sum(left), plan.device, plan.specs[0].precision))


def _programs(plan: Plan) -> str:
    left = [spec for group in plan.groups for spec in group.specs]
    if plan.options.lanes is None and len({spec.group_key for spec in left}) < len(left):
        return f"{len(left)} to train, alone or together as a trial will show (--lanes auto)"
    if len(plan.groups) == len(left):
        return f"{len(left)} to train"
    return f"{len(left)} to train in {len(plan.groups)} programs"


def _cost(left: float, device: torch.device, precision: Precision) -> str:
    rate = matmul_rate(device, precision)
    return (
        f"{left:,.1f} TFLOP are left: {left * 1e12 / rate / 60:,.1f} minutes on {device} at the {rate / 1e9:,.0f} "
        f"GFLOP/s that its matrix products just reached in {precision}; training takes up to a few times that."
    )


def matmul_rate(device: torch.device, precision: Precision) -> float:
    """Return the FLOP/s of large matrix products, made as the trainer makes them, measured for a moment."""
    import torch

    from gan_bench.training.clock import synchronise
    from gan_bench.training.kernels import linear, onednn_wins
    from gan_bench.training.precision import compute_dtype, set_matmul

    set_matmul(precision)
    a = torch.rand(1, PROBE_SIZE, PROBE_SIZE, device=device, dtype=compute_dtype(precision, torch.float32))
    by_onednn = device.type == "cpu" and onednn_wins()

    def multiply() -> None:
        linear(a, a, None, by_onednn=by_onednn)
        synchronise(device)

    multiply()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < PROBE_SECONDS:
        multiply()
        count += 1
    return count * 2 * PROBE_SIZE**3 / (time.perf_counter() - start)
