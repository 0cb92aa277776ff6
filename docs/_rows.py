"""Tables of measured results, and studies of papers, where a page asks for them by a comment:
`<!-- table: peers_summary.csv; method: a | b; show: column, column -->`, and `<!-- studies: sidt_, mcf_ -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results"
PERCENT = ("accuracy", "before_retraining", "share")
"""What columns hold whose values are shares of one."""


def filled(markdown: str) -> str:
    """A page with its tables and studies. Raises KeyError for a column that a file lacks, ValueError for no rows."""
    markdown = re.sub(r"<!-- table: (.*?) -->", lambda found: _table(found[1]), markdown)
    return re.sub(r"<!-- studies: (.*?) -->", lambda found: _studies(found[1].split(", ")), markdown)


def _table(asked: str) -> str:
    file, *clauses = asked.split("; ")
    frame = pd.read_csv(RESULTS / file)
    show = list(frame.columns)
    for clause in clauses:
        key, _, value = clause.partition(": ")
        if key == "show":
            show = value.split(", ")
        else:
            frame = frame[frame[key].astype(str).isin(value.split(" | "))]
    if frame.empty:
        raise ValueError(f"{file}: no rows for {asked}")
    rows = [[_cell(row, column) for column in show] for _, row in frame.iterrows()]
    # The blank lines end the table before, where two follow each other.
    head = [_line([name.replace("_", " ") for name in show]), _line(["---"] * len(show))]
    return "\n".join(["", *head, *map(_line, rows), ""])


def _cell(row: pd.Series, column: str) -> str:
    if column in row.index:
        return _shown(row[column], column)
    mean, std = row[f"{column}_mean"], row.get(f"{column}_std")
    return _shown(mean, column) + (f" +- {_shown(std, column)}" if pd.notna(std) and pd.notna(mean) else "")


def _shown(value: object, column: str) -> str:
    if pd.isna(value):
        return ""
    if not isinstance(value, float):
        return str(value)
    if any(part in column for part in PERCENT):
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _studies(beginnings: list[str]) -> str:
    papers = sorted((ROOT / "studies" / "papers").glob("*.yaml"))
    files = [file for file in papers if file.name.startswith(tuple(beginnings))]
    if not files:
        raise ValueError(f"no study in studies/papers begins with {beginnings}")
    return "\n\n".join(f'??? note "studies/papers/{file.name}"\n\n{_indented(file)}' for file in files)


def _indented(file: Path) -> str:
    lines = ["```yaml", *file.read_text(encoding="utf-8").splitlines(), "```"]
    return "\n".join(f"    {line}".rstrip() for line in lines)
