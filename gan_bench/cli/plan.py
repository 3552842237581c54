"""What `gan-bench run --dry-run` shows: the plan as a table, with its cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gan_bench.cli.tables import print_rows

if TYPE_CHECKING:
    import torch

    from gan_bench.benchmark import Plan
    from gan_bench.spec import RunSpec

PROBE_SECONDS = 0.3
PROBE_SIZE = 1024


def print_plan(plan: Plan, as_json: bool) -> None:
    """Print every run with its parameters and arithmetic; say what the device can do at best."""
    from gan_bench.data.dataset import datasets
    from gan_bench.report.frame import rate_text
    from gan_bench.training.flops import step_flops

    rows: list[dict[str, Any]] = []
    flops: dict[RunSpec, int] = {}
    for spec in plan.specs:
        alike = spec.model_copy(update={"seed": 0, "lr_g": 1e-4, "lr_d": 1e-4})
        flops.setdefault(alike, step_flops(alike))
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
                "GFLOP/step": flops[alike] / 1e9,
                "TFLOP": flops[alike] * steps / 1e12,
                "state": "finished" if spec in plan.finished else "to do",
            }
        )
    if as_json:
        print_rows(rows, as_json=True)
        return
    print_rows([{key: value for key, value in row.items() if key != "run"} for row in rows], as_json=False)
    jobs = f", {plan.options.jobs} worker processes" if plan.options.jobs > 1 else ""
    click.echo(
        f"{len(rows)} runs, {len(plan.finished)} finished, in {len(plan.groups)} groups{jobs}; "
        f"preset {plan.preset}; {plan.specs[0].dataset}; results go to {plan.options.out}"
    )
    if plan.groups:
        click.echo(_cost(sum(row["TFLOP"] for row in rows if row["state"] == "to do"), plan.device))


def _cost(left: float, device: torch.device) -> str:
    rate = matmul_rate(device)
    return (
        f"{left:,.1f} TFLOP are left: at least {left * 1e12 / rate / 60:,.1f} minutes on {device} at the "
        f"{rate / 1e9:,.0f} GFLOP/s that its matrix products just reached; training takes a few times that."
    )


def matmul_rate(device: torch.device) -> float:
    """Return the FLOP/s of large fp32 matrix products, measured for a moment."""
    import torch

    from gan_bench.training.clock import synchronise

    a = torch.rand(PROBE_SIZE, PROBE_SIZE, device=device)
    torch.mm(a, a)
    synchronise(device)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < PROBE_SECONDS:
        torch.mm(a, a)
        synchronise(device)
        count += 1
    return count * 2 * PROBE_SIZE**3 / (time.perf_counter() - start)
