"""Processes of this machine: which one this is, and whether another one has ended."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path


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
