"""Ray in our process: what it must not take over, and what a cluster of our own opens to others."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import ClusterError
from nas.system import cluster

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


ALONE = """
import os, sys
import psutil, ray
from nas.system.cluster import Cluster, connected

def opened(process):
    try:
        return process.net_connections("inet")
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return []

def work():
    import pydantic
    return sys.path, os.getcwd()

with connected(Cluster(), 1):
    path, folder = ray.get(ray.remote(work).remote())
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [s for p in mine for s in opened(p) if s.status == psutil.CONN_LISTEN]
    print(({s.laddr.ip for s in sockets}, path, folder, os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")))
"""


def test_a_cluster_of_our_own_is_closed_and_imports_nothing_from_the_current_folder(
    tmp_path: Path,
) -> None:
    """Even where the folder for temporary files is too deep for Ray's sockets."""
    (tmp_path / "pydantic.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    path = [entry for entry in sys.path if entry and Path(entry) != tmp_path]
    environment = {**os.environ, "TMPDIR": str(deep), "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    addresses, imports, folder, variable = ast.literal_eval(done.stdout)
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert str(tmp_path) not in imports
    assert not folder.startswith(str(tmp_path))
    assert not (tmp_path / "ran").exists()
    assert variable is None


def test_no_place_for_sockets_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 100)))
    monkeypatch.setattr(cluster, "SHORT", str(tmp_path / "nosuch"))
    refused = pytest.raises(ClusterError, match=r"allowed: one of at most 40 bytes.*set RAY_TMPDIR")
    with refused, cluster.connected(cluster.Cluster(), 1):
        pass
