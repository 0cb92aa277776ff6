"""The death of Ray's head: said at once, nothing left behind, and gone on from; apart, with clusters of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.system import head
from nas.system.processes import born

pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
import ray_fakes
from ray_fakes import TRIALS, live, plain, recorded, without_ray

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]
LOSE = """
import sys
from pathlib import Path
import ray_fakes

ray_fakes.lose_head(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
"""


def drive(folder: Path, victim: str, die: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", LOSE, str(folder), victim, str(die)]
    return subprocess.run(
        words, cwd=Path(ray_fakes.__file__).parent, check=False, capture_output=True, text=True, timeout=300
    )


def test_a_search_whose_head_dies_ends_with_a_sentence_and_goes_on_to_the_same(tmp_path: Path) -> None:
    for victim, die in (("gcs_server", 4), ("raylet", 8)):
        driver = drive(tmp_path, victim, die)
        assert driver.returncode == head.LOST, driver.stderr
        assert "error: ray: the head of the cluster at 'local', or its raylet here, is gone" in driver.stderr
        assert "Traceback" not in driver.stderr
        assert len(recorded(tmp_path)) == die
        _wait_for_the_end_of(json.loads((tmp_path / "pids").read_text()))
    driver = drive(tmp_path, "nobody", 0)
    assert driver.returncode == 0, driver.stderr
    assert len(recorded(tmp_path)) == TRIALS
    assert plain(recorded(tmp_path)) == without_ray(live())


def _wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if born(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
