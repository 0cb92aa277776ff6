"""Work in a process of its own, within bounds of time and memory: for what runs code that nobody here knows."""

from __future__ import annotations

import multiprocessing
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Literal

from nas.errors import MemoryShortageError, NasError
from nas.system.memory import lacks_memory

GIB = 2**30
ANSWERED = 30.0
"""Seconds after which a host that does not answer is given up."""
LEAVING = 5.0
"""Seconds that a process may take to end when it has answered."""


def bounded(
    work: Callable[..., str],
    *arguments: object,
    seconds: float,
    gibibytes: float,
    task: str,
    method: Literal["spawn", "fork"] = "spawn",
) -> str:
    """What `work` (a function of a module) returns for plain arguments. Raises what it raises on purpose, and
    `NasError` where it takes longer, more memory, fails, or ends its process; `task` says what it was at ("derive it").
    A process without threads may fork, which spares the imports.
    """
    context = multiprocessing.get_context("fork") if method == "fork" else multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, int(gibibytes * GIB), work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        # Bytes, not objects: what comes back may be of code that is not ours.
        with suppress(EOFError):
            if not ours.poll(seconds):
                raise NasError(f"{task}: not done after {seconds:.0f} s; allow more, or take a smaller model")
            said = ours.recv_bytes().decode()
            process.join(LEAVING)  # killed at once, it would leave locks behind, of which its tracker warns
            if said.startswith("+"):
                return said[1:]
            raise NasError(said[1:] if said.startswith("-") else f"{task}: it failed with {said[1:]}")
        process.join()
        raise NasError(f"{task}: its process ended by itself (code {process.exitcode}); take a smaller model")
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(connection: Connection, most: int, work: Callable[..., str], arguments: tuple[object, ...]) -> None:
    """In the other process: "+" and the answer, "-" and why there is none, or "!" and what code of others raised."""
    # Address space would count what is only mapped, such as libraries of a GPU.
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    socket.setdefaulttimeout(ANSWERED)
    try:
        said = f"+{work(*arguments)}"
    except NasError as fault:
        said = f"-{fault}"
    except AssertionError:  # our own fault
        raise
    except Exception as fault:
        if lacks_memory(fault):
            said = f"-{MemoryShortageError(f'not enough memory: {most // GIB} GiB are allowed; take a smaller model')}"
        else:
            said = f"!{type(fault).__name__}: {(str(fault).strip().splitlines() or ['(no word)'])[0][:300]}"
    connection.send_bytes(said.encode())
