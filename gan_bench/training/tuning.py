"""What is settled before the clock runs: the way that a trainer's steps take, found by trying.

Nothing here changes what is computed: every trial is taken back, and a program whose losses differ is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Size, nn

from gan_bench import environment
from gan_bench.training import ways
from gan_bench.training.clock import Clock
from gan_bench.training.program import Graph, agree
from gan_bench.training.trainer import Trainer

WARM_UP_STEPS = 2
TRIAL_STEPS = 20
COMPILE_PAYS_SECONDS = 600.0
"""What is left of a training must take this long before a minute is given to a compiler."""


def warm_up(trainer: Trainer, notify: Callable[[str], None] = lambda text: None, *, fuse: bool = True) -> float:
    """Pay one-time costs before the clock runs, and leave no trace; return their seconds.

    On a GPU, the ways of the lanes' convolutions are chosen here, steps are captured as one graph, and a long
    training has its layers fused (if `fuse`) by torch.compile where that is faster. `notify` hears what could not
    be had.
    """
    clock = Clock(trainer.device)
    clock.start()
    trainer.try_out(trainer.advance, WARM_UP_STEPS)
    if trainer.device.type == "cuda":
        if trainer.lanes > 1 and not environment.is_deterministic():
            choose_ways(trainer)
        capture(trainer, notify)
        if fuse and not environment.is_deterministic():  # what a stopwatch decides is decided otherwise next time
            left = trainer.total_steps - trainer.step
            if left * seconds_per_step(trainer, WARM_UP_STEPS) > COMPILE_PAYS_SECONDS:
                compile_if_faster(trainer, notify)
    return clock.stop()


def seconds_per_step(trainer: Trainer, steps: int) -> float:
    """Time so many steps that leave no trace; return seconds a step, of all lanes."""
    return trainer.try_out(trainer.one_step, steps)[1] / steps


def time_ways(trainer: Trainer) -> Mapping[str, list[ways.Timing]]:
    """Time every convolution of both networks, g and d, in each way that lanes can go."""
    return {name: _time_ways(trainer, net) for name, net in (("g", trainer.g_net), ("d", trainer.d_net))}


def _time_ways(trainer: Trainer, net: nn.Module) -> list[ways.Timing]:
    with ways.seen_shapes(net) as shapes:
        trainer.try_out(trainer.advance, 1)
    together = {name: Size([trainer.lanes, *shape[1:]]) for name, shape in shapes.items()}
    return ways.time_ways(net, together, trainer.compute_dtype, trainer.device)


def choose_ways(trainer: Trainer) -> None:
    """Let every convolution of several lanes go the way that is fastest on this device."""
    for net in (trainer.g_net, trainer.d_net):
        ways.choose_(net, _time_ways(trainer, net))


def capture(trainer: Trainer, notify: Callable[[str], None]) -> None:
    """Run steps as one CUDA graph from now on, if its first ones give what eager steps give."""
    trainer.graph = None
    environment.reset_peak_memory(trainer.device)  # what was searched and tried is no part of a training
    try:
        eager = trainer.try_out(trainer.advance, WARM_UP_STEPS)[0]  # what is captured must have run before
        graph = Graph(trainer.advance, trainer.generators(), trainer.device)
        captured = trainer.try_out(graph, WARM_UP_STEPS)[0]
    except RuntimeError as error:
        why = f"no CUDA graph of them could be made ({_first_line(error)})"
        notify(f"steps are launched kernel by kernel: {why}")
        return
    if agree(eager, captured, trainer.compute_dtype):
        trainer.graph = graph
    else:
        notify("steps are launched kernel by kernel: a CUDA graph of them gave other losses")


def compile_if_faster(trainer: Trainer, notify: Callable[[str], None]) -> None:
    """Let torch.compile fuse both networks' layers, if steps give the same losses so, and take less time."""
    captured, seconds = trainer.graph is not None, seconds_per_step(trainer, TRIAL_STEPS)
    expected = trainer.try_out(trainer.advance, WARM_UP_STEPS)[0]
    try:
        trainer.compile(True)
        fused = trainer.try_out(trainer.advance, WARM_UP_STEPS)[0]
        if not agree(expected, fused, trainer.compute_dtype):
            notify("layers are not fused: torch.compile's gave other losses")
        else:
            if captured:
                capture(trainer, lambda why: notify(f"of fused layers, {why}"))
            if seconds_per_step(trainer, TRIAL_STEPS) < seconds:
                return
    except Exception as error:  # a compiler may be missing, or fail in ways of its own
        notify(f"layers are not fused: torch.compile failed ({_first_line(error)})")
    trainer.compile(False)
    if captured:
        capture(trainer, notify)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
