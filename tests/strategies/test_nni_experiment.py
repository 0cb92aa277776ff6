"""A real NNI experiment: measured by trial processes, reachable from this machine only, and gone when its driver is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("nni", reason="NNI is an extra: pip install 'nas[nni]'")
import nni_node
import psutil

import nas.strategies._nni_experiment

pytestmark = pytest.mark.timeout(280)


def processes(folder: Path) -> list[psutil.Process]:
    """Those whose command line names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def addresses(server: psutil.Process) -> set[str]:
    return {c.laddr.ip for c in server.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def until(what: str, condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


SERVERS = """
const http = require("http");
const listening = [
    http.createServer().listen(0),
    http.createServer().listen({ port: 0 }),
    http.createServer().listen(0, () => {}),
];
setTimeout(() => console.log(listening.map((server) => server.address().address).join(" ")), 200);
"""


def test_servers_of_node_listen_on_this_machine_only_and_end_with_their_parent(tmp_path: Path) -> None:
    """The manager's own guard, should the process that keeps it be killed: node is asked to end by its parent's end."""
    node = Path(nni_node.__path__[0]) / "node"
    guard = Path(nas.strategies._nni_experiment.__file__).with_name("loopback.js")
    script = tmp_path / "servers.js"
    script.write_text(SERVERS)
    code = f"import subprocess; subprocess.run([{str(node)!r}, '--require', {str(guard)!r}, {str(script)!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().split() == ["127.0.0.1"] * 3
        parent.kill()
    until("node left", lambda: not processes(script))


@pytest.mark.long
def test_an_experiment_measures_and_leaves_nothing_behind_when_its_driver_is_killed(tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    paths = [str(Path(__file__).parent), *sys.path]
    settings = {"HOME": str(home), "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(paths)}
    code = f"import nni_fakes; nni_fakes.drive({str(tmp_path / 'marker')!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        first, second = (json.loads(driver.stdout.readline()) for _ in range(2))
        assert first == [0, "failed", "RuntimeError: no memory", {}]
        assert second[:3] == [1, "done", None]
        assert set(second[3]) == {"accuracy", "loss"}
        until("no third trial", lambda: any("trial" in " ".join(p.cmdline()) for p in processes(scratch)))
        (manager,) = (process for process in processes(scratch) if process.name() == "node")
        assert addresses(manager) == {"127.0.0.1"}
        driver.send_signal(signal.SIGKILL)
    until("processes left", lambda: not processes(scratch))
    until("files left", lambda: not list(scratch.glob("nas-nni-*")))
    assert not [path for path in home.rglob("*") if "nni" in path.name]
