"""Standard streams: descriptors 0 to 2 are open, whatever the caller has closed."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open closed standard descriptors on the null device, and set the streams that Python left out for them.

    Otherwise the next pipe or file gets the number of a standard stream, and what a library prints goes into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
