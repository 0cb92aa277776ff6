"""report: tables, plots and the page, made from what the other stages left."""

from __future__ import annotations

from typing import Any

from nas.studies.report.files import NAMES, write_report
from nas.studies.run.record import Record
from nas.studies.stages.workshop import Workshop


def run(workshop: Workshop) -> dict[str, Any]:
    """Writes the report's files."""
    write_report(Record.open(workshop.folder.path))
    return {"files": list(NAMES)}
