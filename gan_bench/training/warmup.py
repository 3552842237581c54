"""Warm-up and autotuning, before timing starts.

The results of training do not change: every trial is undone, and a program with other losses is not used.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from torch import Size

from gan_bench.core.errors import first_line
from gan_bench.core.events import Notice, OnEvent, ignore_events
from gan_bench.devices import memory, numerics
from gan_bench.training.clock import Clock
from gan_bench.training.cuda_graph import Graph, agree
from gan_bench.training.lanes import conv_autotune
from gan_bench.training.penalty_schedule import Penalized
from gan_bench.training.trainer import Trainer

WARM_UP_STEPS = 2
TRIAL_STEPS = 20
MIN_COMPILE_SECONDS = 600.0
"""Compile only if the remaining training takes longer than this: compiling takes about a minute."""


def warm_up(trainer: Trainer, on_event: OnEvent = ignore_events, *, fuse: bool = True) -> float:
    """Pay one-time costs before timing starts, without changing the trainer's state; return the seconds.

    On a GPU, this selects the algorithms of the lanes' convolutions, captures the step as a CUDA graph and, for a
    long training and with `fuse`, fuses layers by torch.compile where that is faster.
    """
    clock = Clock(trainer.device)
    trainer.run_trial(trainer.advance, WARM_UP_STEPS)
    if trainer.device.type == "cuda":
        if trainer.lanes > 1 and not numerics.is_deterministic():
            autotune_convolutions(trainer)
        capture(trainer, on_event)
        if fuse and not numerics.is_deterministic():  # a decision by timing may differ the next time
            remaining = trainer.total_steps - trainer.step
            if remaining * seconds_per_step(trainer, WARM_UP_STEPS) > MIN_COMPILE_SECONDS:
                compile_if_faster(trainer, on_event)
    return clock.seconds()


def seconds_per_step(trainer: Trainer, steps: int) -> float:
    """Time `steps` steps, which are undone; return seconds per step of all lanes."""
    return trainer.run_trial(lambda: trainer.next_step()(), steps)[1] / steps


def time_conv_algorithms(trainer: Trainer) -> Mapping[str, list[conv_autotune.Timing]]:
    """Time every convolution of both networks, "g" and "d", with each algorithm."""
    timings = {}
    for name, net in (("g", trainer.g_net), ("d", trainer.d_net)):
        with conv_autotune.record_shapes(net) as shapes:
            trainer.run_trial(trainer.advance, 1)
        batched = {layer: Size([trainer.lanes, *shape[1:]]) for layer, shape in shapes.items()}
        timings[name] = [
            conv_autotune.time_layer(layer, net, shape, trainer.compute_dtype, trainer.device)
            for layer, shape in batched.items()
        ]
    return timings


def autotune_convolutions(trainer: Trainer) -> None:
    """Set every convolution of several lanes to the fastest algorithm on this device."""
    timings = time_conv_algorithms(trainer)
    for name, net in (("g", trainer.g_net), ("d", trainer.d_net)):
        conv_autotune.set_algorithms(net, timings[name])


def capture(trainer: Trainer, on_event: OnEvent = ignore_events) -> None:
    """Capture the step as a CUDA graph and use it if its first steps give the losses of eager ones.

    With a lazy penalty there is one graph for each pattern of updates with and without it.
    """
    trainer.graphs = {}
    memory.reset_peak_memory(trainer.device)  # autotuning is not part of the training's peak
    graphs: dict[Penalized, Graph] = {}
    try:
        for pattern in trainer.penalties.patterns():
            advance = functools.partial(trainer.advance, pattern)
            eager = trainer.run_trial(advance, WARM_UP_STEPS)[0]  # a step must have run before it is captured
            graphs[pattern] = Graph(advance, trainer.generators(), trainer.device)
            captured = trainer.run_trial(graphs[pattern], WARM_UP_STEPS)[0]
            if not agree(eager, captured, trainer.compute_dtype):
                on_event(Notice("The CUDA graph gave other losses than eager steps; running eagerly."))
                return
    except RuntimeError as error:
        on_event(Notice(f"CUDA graph capture failed ({first_line(error)}); running eagerly."))
        return
    trainer.graphs = graphs


def compile_if_faster(trainer: Trainer, on_event: OnEvent = ignore_events) -> None:
    """Fuse both networks' layers by torch.compile, if steps are faster and give the same losses."""
    captured, seconds = bool(trainer.graphs), seconds_per_step(trainer, TRIAL_STEPS)
    expected = trainer.run_trial(trainer.advance, WARM_UP_STEPS)[0]
    try:
        trainer.compile_networks(True)
        fused = trainer.run_trial(trainer.advance, WARM_UP_STEPS)[0]
        if not agree(expected, fused, trainer.compute_dtype):
            on_event(Notice("torch.compile gave other losses; running without it."))
        else:
            if captured:
                capture(trainer, on_event)
            if seconds_per_step(trainer, TRIAL_STEPS) < seconds:
                return
    except Exception as error:  # there may be no compiler, and its failures are of many types
        on_event(Notice(f"torch.compile failed ({first_line(error)}); running without it."))
    trainer.compile_networks(False)
    if captured:
        capture(trainer, on_event)
