"""Ray in our process: what it must not take over."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")

STOPPED = """
import os, signal, time
from nas.system.cluster import Cluster, connected

signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
with connected(Cluster(), 1):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
"""


def test_sigterm_stays_ours() -> None:
    """Ray's core would abort, where a driver must exit with 143."""
    done = subprocess.run([sys.executable, "-c", STOPPED], check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 143, done.stderr
