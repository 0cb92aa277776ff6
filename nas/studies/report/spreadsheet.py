"""Tables as CSV files, which people open with spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from nas.foreign import cell


def csv_text(frame: pd.DataFrame) -> str:
    """A table as CSV in which no text is a formula, neither a cell nor a heading: one that looks so gets an apostrophe
    before it. Numbers stay as they are.
    """

    def literal(value: object) -> object:
        return cell(value) if isinstance(value, str) else value

    literally = frame.apply(lambda column: column if is_numeric_dtype(column) else column.map(literal))
    return str(literally.rename(columns=literal).to_csv(index=False))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes that text. Raises `OSError`."""
    path.write_text(csv_text(frame), encoding="utf-8", newline="")
