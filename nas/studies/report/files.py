"""The report's files: results.csv, results.json and report.html, each written whole."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from nas.studies.report.findings import Findings
from nas.studies.report.page import page
from nas.studies.report.spreadsheet import csv_text
from nas.studies.run.folder import write_bytes
from nas.studies.run.record import Record

NAMES = ("results.csv", "results.json", "report.html")


def write_report(record: Record) -> Path:
    """Writes all of them into the run's folder `report`; returns the page's path. Raises `RunError` for an unfinished
    run, and for one that was changed since.
    """
    record.verify()
    findings = Findings(record)
    folder = record.folder.stage("report")
    rows = [row.flat() for row in findings.rows]
    write_bytes(folder / "results.csv", csv_text(pd.DataFrame(rows)).encode())
    write_bytes(folder / "results.json", (json.dumps(rows, indent=1) + "\n").encode())
    write_bytes(folder / "report.html", page(findings).encode())
    return folder / "report.html"
