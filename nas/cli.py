"""The command line. What each command needs is imported when it runs, so that `nas --help` answers at once.

Exit codes: see `nas.commands.verbs.EXIT_CODES`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

if __name__ == "__main__" and sys.path[:1] == [str(Path.cwd())]:
    del sys.path[0]  # `python -m` looks for modules in the current folder first, which may be somebody else's

import typer

from nas.commands.axes import axes
from nas.commands.bench import bench
from nas.commands.check import check
from nas.commands.doctor import doctor
from nas.commands.export import export
from nas.commands.init import init
from nas.commands.models import evaluate, extract, retrain
from nas.commands.names import models
from nas.commands.open import open_report
from nas.commands.run import run
from nas.commands.runs import compare, pareto, report, show, tau
from nas.commands.stopping import stoppable
from nas.commands.verbs import MAKE, READ, RUN, SHIP, Verbs, epilog
from nas.commands.watch import watch
from nas.errors import ClusterLostError, NasError
from nas.system.memory import memory_for

app = typer.Typer(
    name="nas",
    help="Find the vision transformer that fits your budget, inside one you already have.",
    cls=Verbs,
    epilog=epilog(),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    MAKE: {
        "init": init,
        "show": show,
        "models": models,
        "axes": axes,
        "check": check,
        "bench": bench,
        "doctor": doctor,
    },
    RUN: {"run": run, "watch": watch, "retrain": retrain, "tau": tau},
    READ: {"open": open_report, "report": report, "pareto": pareto, "compare": compare, "evaluate": evaluate},
    SHIP: {"extract": extract, "export": export},
}
for group, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=group)(command)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from nas import __version__

        typer.echo(f"nas {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stoppable(), memory_for("go on"):
            return int(app(words or ["--help"], standalone_mode=False) or 0)
    except ClusterLostError as fault:
        from nas.system.head import LOST

        return _fail(str(fault), LOST)
    except NasError as fault:
        return _fail(str(fault))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 1
    except OSError as fault:
        return _fail(f"{fault.filename or 'disk'}: {fault.strerror or fault}; mend that and run the same command again")
    except Exception as fault:
        if not hasattr(
            fault, "format_message"
        ):  # typer's usage errors have one; typer brings a copy of click of its own
            raise
        return _fail(f"{fault.format_message()} See: nas --help")


def _fail(message: str, code: int = 2) -> int:
    from nas.system.terminal import literally

    typer.echo(f"error: {literally(message)}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
