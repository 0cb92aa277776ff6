"""report: tables, plots and the page, made from what the other stages left."""

from __future__ import annotations

from typing import Any

from nas.studies.record import Record
from nas.studies.report.files import NAMES, write_report
from nas.studies.session import Session


def run(session: Session) -> dict[str, Any]:
    """Writes the report's files."""
    write_report(Record.open(session.folder.path))
    return {"files": list(NAMES)}
