"""gan_bench: a comparative benchmark of GANs.

import gan_bench as gb
gb.run(gb.Matrix(models=("vanilla", "dcgan"), seeds=(0, 1, 2)), gb.Options(out="results/mine"))
frame = gb.load_results("results/mine")     # one row per run, as pandas
gb.write_report("results/mine")             # tables, plots and a page
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_bench._version import __version__

if TYPE_CHECKING:
    from gan_bench.api import evaluate, load_results, run, write_report
    from gan_bench.core.errors import InputError, RunError
    from gan_bench.core.evaluation_spec import EvaluationSpec
    from gan_bench.core.matrix import Matrix
    from gan_bench.core.options import Options
    from gan_bench.runner.plan import Plan, plan

__all__ = [
    "EvaluationSpec",
    "InputError",
    "Matrix",
    "Options",
    "Plan",
    "RunError",
    "__version__",
    "evaluate",
    "load_results",
    "plan",
    "run",
    "write_report",
]

_MODULES = {
    "EvaluationSpec": "core.evaluation_spec",
    "InputError": "core.errors",
    "RunError": "core.errors",
    "Matrix": "core.matrix",
    "Options": "core.options",
    "Plan": "runner.plan",
    "plan": "runner.plan",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that importing the package stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'gan_bench' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"gan_bench.{_MODULES.get(name, 'api')}"), name)
