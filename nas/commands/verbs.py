"""How `nas --help` lists the commands: in groups, by what somebody wants to do. Without rich, which takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from typer.core import TyperGroup
from typing_extensions import override

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

MAKE, RUN, READ, SHIP = "Make a study", "Run it", "Read what came of it", "Ship a model"
GROUPS = (MAKE, RUN, READ, SHIP)
"""In the order in which a newcomer meets them."""
WHOLE = 400
"""Characters of a command's first sentence: all of it."""
EXIT_CODES = {
    0: "done",
    2: "something that you can mend, said in a line or two",
    75: "a Ray cluster is gone in the midst of work: run the same command again",
    130: "Ctrl-C",
    143: "SIGTERM",
    1: "a fault of nas, with its traceback",
}
"""What a command ends with. This is the one place where it is said."""


@final
class Verbs(TyperGroup):
    """All commands of `nas`."""

    @override
    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        for group in GROUPS:
            of_group = {
                name: command
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group
            }
            with formatter.section(group):
                formatter.write_dl([(name, command.get_short_help_str(WHOLE)) for name, command in of_group.items()])


def epilog() -> str:
    """The exit codes, below the commands."""
    return "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."
