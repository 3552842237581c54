"""gan_bench: a comparative benchmark of GANs.

import gan_bench as gb
gb.run(gb.Matrix(models=("vanilla", "dcgan"), seeds=(0, 1, 2)), gb.Options(out="results/mine"))
frame = gb.load_results("results/mine")     # one row a run, as pandas
gb.write_report("results/mine")             # tables, plots and a page
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_bench._version import __version__

if TYPE_CHECKING:
    from gan_bench.benchmark import load_results, run, write_report
    from gan_bench.errors import InputError, RunError
    from gan_bench.matrix import Matrix
    from gan_bench.planning import Options, Plan, plan

__all__ = [
    "InputError",
    "Matrix",
    "Options",
    "Plan",
    "RunError",
    "__version__",
    "load_results",
    "plan",
    "run",
    "write_report",
]

_HOMES = {
    "InputError": "errors",
    "RunError": "errors",
    "Matrix": "matrix",
    "Options": "planning",
    "Plan": "planning",
    "plan": "planning",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: to import the package stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'gan_bench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"gan_bench.{_HOMES.get(name, 'benchmark')}"), name)
