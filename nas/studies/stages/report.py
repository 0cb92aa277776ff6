"""report: tables, plots and the page, made from what the other stages left."""

from __future__ import annotations

from nas.studies.report.files import write_report
from nas.studies.report.names import NAMES
from nas.studies.run.record import Record
from nas.studies.run.results import ReportResult
from nas.studies.stages.workshop import Workshop


def run(workshop: Workshop) -> ReportResult:
    """Writes the report's files."""
    write_report(Record.open(workshop.folder.path, trust=True), workshop.check_lease)
    return ReportResult(files=list(NAMES))
