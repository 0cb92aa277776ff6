"""What is installed, and what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.commands.options import Json, put_json
from nas.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from nas.system.installed import InstalledPackage


def doctor(json: Json = None) -> None:
    """Say what is installed, which versions are supported, what each extra brings, what this machine can do."""
    from dataclasses import asdict

    from nas import __version__
    from nas.system.installed import lacking, packages, python
    from nas.system.machine import this_machine
    from nas.system.terminal import Terminal

    found, machine = packages(), this_machine()
    about = {"nas": __version__, "python": python(), "machine": asdict(machine)}
    if not put_json(json, {**about, "packages": [asdict(package) for package in found]}):
        console = Terminal()
        console.say(f"nas {__version__}, Python {python()}")
        console.say(f"machine: {machine}")
        console.print(_table(found))
    if wrong := lacking(found, ""):
        raise RunError(
            f"{', '.join(package.name for package in wrong)}: missing, or of a version that is not supported; "
            "pip install --upgrade nas"
        )


def _table(found: Sequence[InstalledPackage]) -> Table:
    """A row for each extra, and below it one for each of its packages."""
    from rich import box
    from rich.table import Table

    from nas.system.installed import EXTRAS, lacking

    table = Table("", "package", "installed", "supported", box=box.SIMPLE_HEAD, pad_edge=False)
    for extra, brings in EXTRAS.items():
        if not any(package.extra == extra for package in found):
            continue  # of an installation that knows no such extra
        absent = lacking(found, extra)
        install = f"; pip install 'nas[{extra}]'" if extra and absent else ""
        table.add_row("lacks" if absent else "ready", extra or "nas", "", f"{brings}{install}", style="bold")
        for package in (package for package in found if package.extra == extra):
            mark = "" if package.good else "no" if not package.there else "other"
            table.add_row(mark, f"  {package.name}", package.there or "-", package.supported)
    return table
