"""The attempts at a run: how many there were, what each was made with, and whether that differs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from gan_bench.errors import RunError
from gan_bench.store.folder import ATTEMPT, RunFolder

EARLIER = "earlier_attempts"
FROM_STEP = "from_step"
PASSED_OVER = {ATTEMPT, EARLIER, FROM_STEP}


def made(folder: RunFolder) -> int:
    """Count the attempts so far; what can't be read doesn't stand in the way of another."""
    counts = [0]
    with contextlib.suppress(RunError):
        counts.append(folder.attempt())
    with contextlib.suppress(RunError):
        record = folder.last_record()
        counts.append(record.attempts if record else 0)
    return max(counts)


def newest(folder: RunFolder) -> Mapping[str, Any]:
    """Return the last attempt's environment.json; empty where it can't be read."""
    try:
        return folder.environment()
    except RunError:
        return {}


def joined(before: Mapping[str, Any], now: Mapping[str, Any], attempt: int) -> dict[str, Any]:
    """Return what environment.json says of an attempt, and of those that it goes on from."""
    values = {**now, ATTEMPT: attempt}
    if now.get(FROM_STEP) and before:
        earlier = before.get(EARLIER, [])
        last = {key: value for key, value in before.items() if key != EARLIER}
        values[EARLIER] = [*(earlier if isinstance(earlier, list) else []), last]
    return values


def caveat(environment: Mapping[str, Any]) -> str:
    """Say why a run that was gone on with may differ from an undisturbed one; empty if nothing speaks for it."""
    earlier = [each for each in environment.get(EARLIER, []) if isinstance(each, Mapping)]
    if not earlier:
        return ""
    changes = []
    for key in sorted({key for each in earlier for key in each} - PASSED_OVER):
        values = [str(each.get(key)) for each in [*earlier, environment]]
        if len(set(values)) > 1:
            changes.append(f"{key} {' then '.join(dict.fromkeys(values))}")
    if str(environment.get("device", "cpu")) != "cpu" and not environment.get("deterministic"):
        changes.append("on this kind of device sums have no fixed order")
    if not changes:
        return ""
    return (
        f"gone on with at step {environment.get(FROM_STEP)}, not promised to be bit for bit: {'; '.join(changes)}"
    )
