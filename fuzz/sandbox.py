"""One command in a forked process that is watched: what it may not do is noticed, and most of it prevented.

The parent has imported everything once, so that a command costs a fork instead of seconds of imports. Linux alone.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fuzz.watch import Watch

SECONDS = 20
"""Of the processor, for a command that answers; a command that trains is stopped after `PATIENCE` instead."""
WALL = 90
"""Seconds on the clock: on a busy machine a command waits for others."""
PATIENCE = 4
MEMORY = 2 * 2**30
"""Bytes in memory at once."""
ADDRESSES = 16 * 2**30
"""Bytes that a command may ask for beyond what the parent has: the machine must survive it."""
FILE_SIZE = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Command:
    """Words of a command line, or `load FOLDER` for `nas.load`.

    trains     it may take long, and is stopped by SIGTERM
    reaches    its study was written by the user, who may name hosts, and have processes started; whether it does is up
               to chance
    """

    words: tuple[str, ...]
    trains: bool = False
    reaches: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a command ended; `broken` has the rules that it broke, in words."""

    code: int
    output: str
    broken: tuple[str, ...]

    @property
    def signature(self) -> str:
        """What findings of one cause have in common: the rule, the error, and where in our code it was raised."""
        lines = self.output.splitlines()
        ours = [line.split("/nas/")[-1] for line in lines if line.startswith("  File ") and "/nas/" in line]
        error = lines[-1].split(":")[0][:60] if lines and "traceback" in "".join(self.broken) else ""
        return " | ".join(filter(None, [self.broken[0].split(":")[0], error, ours[-1] if ours else ""]))


def run(command: Command, case: Path, cache: Path) -> Outcome:
    """Runs a command in the folder `case`/input; what it prints comes back, and stays in `case`/output.txt.

    case    a folder with `input`, all that may be written, and `outside`, where nothing may change
    cache   what commands remember of models, which they may write, too
    """
    before = _contents(case / "outside")
    cache.mkdir(exist_ok=True)
    output, notes = case / "output.txt", case / "notes.txt"
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        _child(command, case, cache)
    killed, usage, status = _waited(process, command, started)
    text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
    broken = sorted(set(notes.read_text(encoding="utf-8").splitlines())) if notes.exists() else []
    code = os.waitstatus_to_exitcode(status)
    stopped = command.trains and killed == "patience"
    if killed and not stopped:
        broken.insert(0, killed)
    elif code not in ((0, 2, 143) if stopped else (0, 2)):
        broken.insert(0, f"exit code {code}")
    if "Traceback (most recent call last)" in text:
        broken.insert(0, "traceback")
    if usage.ru_maxrss * 1024 > MEMORY:
        broken.append("memory: over 2 GiB")
    if _contents(case / "outside") != before:
        broken.append("outside: a file that is not the command's has changed")
    notes.unlink(missing_ok=True)
    return Outcome(code, text, tuple(dict.fromkeys(broken)))


def _waited(process: int, command: Command, started: float) -> tuple[str, resource.struct_rusage, int]:
    """Why a process was ended, nothing if it was not; what it has used; its status."""
    killed, deadline = "", 0.0
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            _end(process, signal.SIGKILL)  # what it has left behind
            return killed, usage, status
        clock = time.monotonic()
        processor, memory = _use(process)
        if killed:
            if clock > deadline:
                killed = "stopping: SIGTERM did not end it" if killed == "patience" else killed
                _end(process, signal.SIGKILL)
        elif memory > MEMORY:
            killed, deadline = "memory: over 2 GiB", clock + 0.5
            os.kill(process, signal.SIGUSR1)  # it says where it is
        elif command.trains and processor > PATIENCE:
            killed, deadline = "patience", clock + 20
            os.kill(process, signal.SIGTERM)
        elif processor > SECONDS or clock - started > WALL:
            killed, deadline = f"time: over {SECONDS} s", clock + 0.5
            os.kill(process, signal.SIGUSR1)
        time.sleep(0.005)


def _end(process: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, number)


def _use(process: int) -> tuple[float, int]:
    """Seconds of the processor and bytes of memory that a process has used."""
    try:
        words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), int(words[21]) * os.sysconf("SC_PAGE_SIZE")


def memory(process: int) -> int:
    """Bytes of memory that a process holds."""
    return _use(process)[1]


def _contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): "folder" if path.is_dir() else path.read_bytes() for path in folder.rglob("*")
    }


def _child(command: Command, case: Path, cache: Path) -> None:
    """Never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log = os.open(case / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        notes = os.open(case / "notes.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for stream, number in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(stream, number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  (for as long as the process lives)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)
        scratch = case / "scratch"
        scratch.mkdir(exist_ok=True)
        os.environ.update(TMPDIR=str(scratch), HOME=str(scratch), XDG_CACHE_HOME=str(cache), COLUMNS="200")
        tempfile.tempdir = str(scratch)  # Python has remembered the parent's
        os.chdir(case / "input")
        _bound(resource.RLIMIT_AS, _addresses() + ADDRESSES)
        _bound(resource.RLIMIT_FSIZE, FILE_SIZE)
        _bound(resource.RLIMIT_CORE, 0)
        sys.argv = ["nas", *command.words]
        sys.addaudithook(Watch((case / "input", scratch, cache), notes, reaches=command.reaches))
        code = _called(command.words)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _called(words: tuple[str, ...]) -> int:
    import nas
    from nas import cli

    if words[0] != "load":
        return cli.main(words)
    try:
        nas.load(words[1])
    except nas.NasError as fault:
        print(f"error: {fault}")
        return 2
    return 0


def _bound(what: int, limit: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _addresses() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
