"""An environment of its own for peers that are packages: it sees all that this one has, and changes nothing of it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

FOLDER = Path("runs") / "peers" / "environment"


def python_with(*packages: str) -> Path:
    """An interpreter that has these packages, of exactly these versions, without what they would bring along. Raises
    `RuntimeError` where one cannot be installed, with pip's last word.
    """
    python = FOLDER / "bin" / "python"
    if not python.exists():
        venv.create(FOLDER, system_site_packages=True, with_pip=False, symlinks=True)
        # Of an environment inside another one, the system's packages are not that other one's.
        (site,) = FOLDER.glob("lib/python*/site-packages")
        (site / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for package in packages:
        done = FOLDER / f"{package}.installed"
        if not done.exists():
            install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", package]
            pip = subprocess.run([sys.executable, *install], capture_output=True, text=True, check=False)
            if pip.returncode:
                raise RuntimeError((pip.stderr.strip().splitlines() or ["pip failed"])[-1])
            done.touch()
    return python
