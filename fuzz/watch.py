"""What a command may not do, noticed as it happens: an audit hook of Python's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROGRAMS = {"git", "uname", "ldconfig"}
"""What may be started: the version of the code, the name of the system."""
DEVICES = ("/dev/null", "/dev/tty", "/proc/self/")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Watch:
    """Refuses files outside `folders`, connections and processes, and writes the broken rule to the file `notes`.

    `reaches`: a command that may try to connect, or to start processes, is told that it cannot, without a note.
    """

    def __init__(self, folders: Sequence[Path], notes: int, *, reaches: bool) -> None:
        self.folders = tuple(os.path.realpath(folder) for folder in folders)
        self.notes = notes
        self.reaches = reaches
        self.rules: dict[str, Callable[..., None]] = {
            "open": self._open,
            **dict.fromkeys(("sqlite3.connect", "os.truncate", "os.chmod"), self._inside),
            **dict.fromkeys(("os.remove", "os.rmdir"), self._entry),
            **dict.fromkeys(("os.rename", "os.link", "os.symlink"), lambda _source, target, *_: self._entry(target)),
            "os.mkdir": self._mkdir,
            **dict.fromkeys(("socket.connect", "socket.sendto"), self._connect),
            **dict.fromkeys(("socket.getaddrinfo", "socket.gethostbyname"), self._resolve),
            **dict.fromkeys(("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"), self._start),
        }

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """As `sys.addaudithook` wants it."""
        rule = self.rules.get(event)
        if rule is not None:
            rule(*arguments)

    def _refuse(self, rule: str) -> None:
        os.write(self.notes, f"{rule}\n".encode(errors="replace"))
        raise PermissionError(f"refused by the sandbox: {rule}")

    def _open(self, path: Any, _mode: str, flags: int) -> None:
        if flags & WRITES:
            self._inside(path)

    def _inside(self, path: Any, *_: Any) -> None:
        if isinstance(path, int):
            return
        text = os.fsdecode(path)
        if text.startswith("file:"):
            text = text.removeprefix("file:").partition("?")[0]
        real = os.path.realpath(text)
        free = text in ("", ":memory:") or real.startswith(DEVICES)
        if not free and not any(real == folder or real.startswith(f"{folder}/") for folder in self.folders):
            self._refuse(f"outside: {real}")

    def _entry(self, path: Any, *_: Any) -> None:
        """Of a folder: a link that is removed is not followed."""
        if not isinstance(path, int):
            self._inside(os.path.split(os.fsdecode(path))[0] or ".")

    def _mkdir(self, path: Any, *_: Any) -> None:
        if not os.path.isdir(path):  # noqa: PTH112  (it may be bytes); folders that exist are made again and again
            self._entry(path)

    def _connect(self, _socket: Any, address: Any) -> None:
        if isinstance(address, tuple):  # else it is a socket of this machine
            self._connection(f"connection: {address}")

    def _resolve(self, host: Any, *_: Any) -> None:
        self._connection(f"connection: the address of {host!r}")

    def _connection(self, rule: str) -> None:
        if not self.reaches:
            self._refuse(rule)
        raise OSError(errno.ENETUNREACH, "no network in the sandbox")

    def _start(self, program: Any, *_: Any) -> None:
        words = program if isinstance(program, list | tuple) else [program]
        if Path(os.fsdecode(words[0])).name not in PROGRAMS:
            if self.reaches:
                raise PermissionError(errno.EPERM, "no processes in the sandbox")
            self._refuse(f"process: {program}")
