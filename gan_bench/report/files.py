"""Files of the report: written whole or not at all, and CSV that a spreadsheet can't be made to execute."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pandas as pd

EXECUTED = re.compile(r"""(^|[;\t\n])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\n])""")
"""Where a spreadsheet would begin a cell that it takes for a formula: it may take ; or a tab for the separator."""


def write_bytes(path: Path, content: bytes) -> Path:
    """Write `content` beside `path`, flush it to the disk and rename: a reader sees the old or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return path


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a frame as UTF-8 CSV; text that a spreadsheet would execute gets an apostrophe, in headings too."""
    safe = frame.rename(columns=_neutral)
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(_neutral)
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _neutral(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    # A lone carriage return is not quoted by every CSV writer, and would begin a new row for some readers.
    return EXECUTED.sub(r"\g<0>'", cell.replace("\r\n", "\n").replace("\r", "\n"))
