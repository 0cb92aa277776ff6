"""How a command is stopped, and what it says then."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nas.passwords import hidden_url
from nas.system.processes import leave


def again(*otherwise: str) -> str:
    """The command line as it may be typed again, without passwords; `otherwise` when Python called, not a shell."""
    words = sys.argv[1:] if sys.argv[1:2] in (["run"], ["retrain"], ["tau"]) else otherwise
    return shlex.join(["nas", *map(hidden_url, words)])


@contextmanager
def stoppable(command: str = "") -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process at once, with a line that says how to continue.

    Files and trials are whole at any moment, so there is nothing to clean up or to save: what is lost is the epoch, or
    the trials, under way. An exception would be no better, and is lost when the signal comes while Python runs a
    destructor or a callback of a weak reference.
    """
    advice = f"; everything finished is kept, continue with: {command}" if command else ""

    def stop(number: int, _frame: object) -> None:
        word = "interrupted" if number == signal.SIGINT else "terminated"
        leave(f"{word}{advice}", 128 + number)

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
