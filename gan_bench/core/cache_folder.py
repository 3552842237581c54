"""Folders of caches: trusted, or replaced by one that is."""

from __future__ import annotations

from pathlib import Path

from gan_bench.core.events import Notice, OnEvent
from gan_bench.core.private_folder import distrust, private_temporary


def trusted_cache(folder: Path | None, default: Path, on_event: OnEvent) -> Path:
    """Return the cache folder, or a private folder of /tmp with a notice of the reason.

    Weights, images and numbers in it decide about scores: it is not read where others could have written to it.
    """
    chosen = folder if folder is not None else default
    reason = distrust(chosen, chosen.parent if folder is None else chosen)
    if not reason:
        return chosen
    instead = private_temporary()
    if str(chosen) not in _noticed:
        _noticed.add(str(chosen))
        on_event(Notice(f"The cache folder {chosen} is not used: {reason}. Using {instead} instead."))
    return instead


_noticed: set[str] = set()
"""Folders this process has reported: there is an evaluator for each data set."""
