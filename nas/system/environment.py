"""What a result was made with: the toolkit's commit or version, Python, the libraries, the processor."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

LIBRARIES = ("torch", "timm", "numpy", "optuna")


@functools.cache
def commit() -> str:
    """The checkout's commit, with `+changes` when files differ from it; without git, the installed version."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return version()
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return f"{head}+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return version()


@functools.cache
def version() -> str:
    """Version of the installed toolkit."""
    return importlib.metadata.version("nas")


def describe() -> dict[str, str]:
    """Names and versions for the foot of a report; no host names, no paths."""
    found = {"nas": version(), "commit": commit(), "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return found


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
