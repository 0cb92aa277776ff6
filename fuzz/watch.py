"""What a command may not do, noticed as it happens: an audit hook of Python's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = {"git", "uname", "ldconfig"}
"""What may be started: the version of the code, the name of the system."""
DEVICES = ("/dev/null", "/dev/shm/", "/dev/tty", "/proc/self/")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Watch:
    """Refuses files outside `folders`, connections and processes, and writes the broken rule to the file `notes`.

    `connects`: a command that may try to connect is told that there is no network, without a note.
    """

    def __init__(self, folders: Sequence[Path], notes: int, *, connects: bool) -> None:
        self.folders = tuple(os.path.realpath(folder) for folder in folders)
        self.notes = notes
        self.connects = connects

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """As `sys.addaudithook` wants it."""
        if event == "open":
            if arguments[2] & WRITES:
                self._inside(arguments[0])
        elif event in ("os.remove", "os.rmdir"):
            self._entry(arguments[0])
        elif event == "os.mkdir":
            if not os.path.isdir(arguments[0]):  # noqa: PTH112  (bytes, too)
                self._entry(arguments[0])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._entry(arguments[1])
        elif event in ("os.truncate", "os.chmod", "sqlite3.connect"):
            self._inside(arguments[0])
        elif event in ("socket.connect", "socket.sendto"):
            if isinstance(arguments[1], tuple):
                self._connection(f"connection: {arguments[1]}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self._connection(f"connection: the address of {arguments[0]!r}")
        elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            self._program(arguments[0])

    def _refuse(self, rule: str) -> None:
        os.write(self.notes, f"{rule}\n".encode(errors="replace"))
        raise PermissionError(f"refused by the sandbox: {rule}")

    def _inside(self, path: Any) -> None:
        if isinstance(path, int):
            return
        text = os.fsdecode(path)
        if text.startswith("file:"):
            text = text.removeprefix("file:").partition("?")[0]
        real = os.path.realpath(text)
        free = text in ("", ":memory:") or real.startswith(DEVICES)
        if not free and not any(real == folder or real.startswith(f"{folder}/") for folder in self.folders):
            self._refuse(f"outside: {real}")

    def _entry(self, path: Any) -> None:
        """Of a folder: a link that is removed is not followed."""
        if not isinstance(path, int):
            self._inside(os.path.split(os.fsdecode(path))[0] or ".")

    def _connection(self, rule: str) -> None:
        if not self.connects:
            self._refuse(rule)
        raise OSError(101, "Network is unreachable")

    def _program(self, command: Any) -> None:
        words = command if isinstance(command, list | tuple) else [command]
        if Path(os.fsdecode(words[0])).name not in PROGRAMS:
            self._refuse(f"process: {command}")
