"""Attempts of a run: their number, the environment of each, and the differences between them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from gan_bench.core.errors import RunError
from gan_bench.store.run_folder import ATTEMPT, RunFolder

EARLIER = "earlier_attempts"
FROM_STEP = "from_step"
IGNORED = {ATTEMPT, EARLIER, FROM_STEP, "eval_every", "plugins"}
"""Values that don't change what a training computes; of plugins, the code that a run uses is recorded apart."""


def count(folder: RunFolder) -> int:
    """Return the number of attempts so far; files that can't be read count as none."""
    counts = [0]
    with contextlib.suppress(RunError):
        counts.append(folder.attempt())
    with contextlib.suppress(RunError):
        record = folder.last_record()
        counts.append(record.attempts if record else 0)
    return max(counts)


def last_environment(folder: RunFolder) -> Mapping[str, Any]:
    """Return the environment of the last attempt; empty where it can't be read."""
    try:
        return folder.environment()
    except RunError:
        return {}


def with_earlier(before: Mapping[str, Any], now: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Return environment.json of an attempt, with the environments of the attempts it was resumed from."""
    values = {**now, ATTEMPT: attempt}
    if now.get(FROM_STEP) and before:
        earlier = before.get(EARLIER, [])
        last = {key: value for key, value in before.items() if key != EARLIER}
        values[EARLIER] = [*(earlier if isinstance(earlier, list) else []), last]
    return values


def caveat(environment: Mapping[str, Any]) -> str:
    """Return why a resumed run may differ from an uninterrupted one; empty if nothing recorded differs."""
    earlier = [each for each in environment.get(EARLIER, []) if isinstance(each, Mapping)]
    if not earlier:
        return ""
    changes = []
    for key in sorted({key for each in earlier for key in each} - IGNORED):
        values = [str(each.get(key)) for each in [*earlier, environment]]
        if len(set(values)) > 1:
            changes.append(f"{key} {' then '.join(dict.fromkeys(values))}")
    if str(environment.get("device", "cpu")) != "cpu" and not environment.get("deterministic"):
        changes.append("GPU kernels without --deterministic")
    if not changes:
        return ""
    return (
        f"Resumed at step {environment.get(FROM_STEP)}; not guaranteed to be bit-identical: {'; '.join(changes)}"
    )
