"""The reference's page of commands: every argument and option of the command line, as the program itself knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from docs._markdown import cell, escaped
from nas import cli
from nas.commands.verbs import EXIT_CODES, GROUPS

HEAD = "| argument or option | default | meaning |\n|---|---|---|"


def commands_page() -> str:
    """All commands in their groups, and what a command ends with."""
    top: Any = get_command(cli.app)
    parts = ["# Commands and their options", "What `nas COMMAND --help` prints. Options that may be repeated say so."]
    for group in GROUPS:
        for name, command in top.commands.items():
            if command.rich_help_panel == group:
                parts += [f"## nas {name}", f"*{group}.* {escaped(' '.join(command.help.split()))}", _table(command)]
    codes = "\n".join(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    parts += ["## Exit codes", f"| code | meaning |\n|---|---|\n{codes}", "## nas alone", _table(top)]
    return "\n\n".join(parts) + "\n"


def _table(command: Any) -> str:
    return "\n".join([HEAD, *_rows(command)])


def _rows(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            written, default = parameter.metavar, "required" if parameter.required else ""
        else:
            written = parameter.opts[0] + ("" if parameter.is_flag else f" {parameter.metavar}")
            default = "" if parameter.is_flag or parameter.default in (None, ()) else f"`{parameter.default}`"
        yield f"| `{written}` | {default} | {cell(escaped(parameter.help or ''))} |"
