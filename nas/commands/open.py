"""A run's report in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.options import Run, Trust
from nas.commands.stopping import stoppable


def open_report(
    run: Run,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")] = True,
    trust: Trust = False,
) -> None:
    """Open the report of a run in the browser: served at 127.0.0.1 alone, read only, until Ctrl-C."""
    import webbrowser

    from nas.studies.report.serving import ReportServer
    from nas.studies.run.record import Record
    from nas.system.terminal import Terminal

    record = Record.open(run, trust=trust)
    server = ReportServer(record.folder.path / "report")
    Terminal().say(f"{server.url}\nserved until Ctrl-C")
    if browser:
        webbrowser.open(server.url)
    with stoppable():
        server.serve()
