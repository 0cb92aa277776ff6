"""The report's files: results.csv, results.json and report.html, each written whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from nas.studies.report.findings import Findings
from nas.studies.report.names import NAMES
from nas.studies.report.page import page
from nas.studies.report.spreadsheet import csv_text
from nas.studies.run.folder import write_bytes
from nas.studies.run.record import Record


def write_report(record: Record, permit: Callable[[], object] | None = None) -> Path:
    """Writes all of them into the run's folder `report`; returns the page's path. `permit` is called before, and
    nothing is written when it raises. Raises `RunError` for an unfinished run, and for one that was changed since.
    """
    record.verify()
    findings = Findings(record)
    of_classes = findings.class_precisions
    rows = [
        row.flat() | {f"ap_of_{name}": average for name, average in of_classes.get(row.model, {}).items()}
        for row in findings.rows
    ]
    texts = csv_text(pd.DataFrame(rows)), json.dumps(rows, indent=1) + "\n", page(findings)
    if permit is not None:
        permit()  # last: to draw all that takes seconds
    folder = record.folder.stage("report")
    for name, text in zip(NAMES, texts, strict=True):
        write_bytes(folder / name, text.encode())
    return folder / NAMES[-1]
