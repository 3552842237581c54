"""CSV whose cells no spreadsheet executes as formulas, without control and format characters."""

from __future__ import annotations

import re

import pandas as pd

from gan_bench.core.errors import printable

FORMULA_START = re.compile(r"""(^|[;\t\n])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\n])""")
"""Where a spreadsheet could start a cell with a formula; it may take a semicolon or a tab for the separator."""


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a frame as UTF-8 CSV; an apostrophe precedes text that is a formula, in cells and column names."""
    safe = frame.rename(columns=_escape)
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(_escape)
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _escape(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    # Not every CSV writer quotes a lone carriage return, and some readers take it for the end of a row.
    safe = FORMULA_START.sub(r"\g<0>'", cell.replace("\r\n", "\n").replace("\r", "\n"))
    return printable(safe)
