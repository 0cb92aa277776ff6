"""Processes of this machine: which one this is, whether another one has ended, and how this one ends at once."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn


def machine() -> str:
    """The same for all processes that can see each other, and for no others: not after a restart of the machine, not in
    another container on it. Empty where the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        seen = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {seen} {socket.gethostname()}".encode()).hexdigest()[:32]


def born(pid: int) -> str:
    """When a process of this machine began, in ticks; empty when there is none, or only what its parent has not yet
    taken notice of.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] in ("Z", "X") else after_name[19]


def leave(line: str, code: int, others: Iterable[int] = ()) -> NoReturn:
    """Ends this process at once, with a line on stderr, and the processes `others` with it (SIGKILL).

    Whatever it is at stays undone: no exception runs through it.
    """
    with suppress(Exception):  # the moment may be in the middle of a write to the same stream
        sys.stdout.flush()
    cursor = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides it
    with suppress(OSError):
        os.write(2, f"{cursor}\n{line}\n".encode())
    for other in others:  # last: other threads of this process must not take their deaths for those of workers
        with suppress(OSError):
            os.kill(other, signal.SIGKILL)
    os._exit(code)
