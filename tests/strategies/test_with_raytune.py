"""Searches on Ray: the same as without, whatever dies or fails. Ray starts once, with a GPU that is not there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from nas.errors import ClusterError, StrategyError
from nas.search import Trial, winner
from nas.search.dispatch import Dispatcher
from nas.searchspaces.limit import Limit
from nas.strategies.evolution import Evolution
from nas.testing.toy import ACCURACY, MACS, TINY, Toy, ToyMeasure

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
import ray_fakes  # noqa: E402
from ray_fakes import TRIALS, Assigned, live, on_ray, plain, recorded, without_ray  # noqa: E402

from nas.strategies.with_raytune import strategy  # noqa: E402
from nas.strategies.with_raytune.controller import Measured  # noqa: E402
from nas.system import cluster  # noqa: E402
from nas.system.cluster import Cluster, room  # noqa: E402

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module", autouse=True)
def gcs() -> Iterator[str]:
    """Address of a Ray with three CPUs and a GPU."""
    environment = {"env_vars": {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init("local", num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def test_rounds_on_three_workers_are_the_same_though_candidates_fail_and_a_worker_dies(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    table: list[Trial] = []
    search = live({"fails": 4, "lethal": str(killed)})
    search.record = table.append
    found = list(on_ray(workers=3).search(search))
    assert killed.exists()
    assert plain(found) == without_ray(live({"fails": 4}))
    assert {trial.error for trial in found} == {None, "RuntimeError: no memory"}
    assert table == found == sorted(search.history, key=table.index)


@pytest.mark.long
def test_proposals_that_repeat_what_was_measured_are_trials_too() -> None:
    toy = Toy(TINY)
    search = toy.search(trials=TRIALS, measure=ToyMeasure(toy))
    found = list(on_ray(mode="free", searcher="uniform").search(search))
    assert sorted(trial.number for trial in found) == list(range(TRIALS))
    assert sum(trial.cached for trial in found) == TRIALS - len({trial.architecture.digest for trial in found}) > 0


def drive(address: str, folder: Path, die: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, ray_fakes.__file__, address, str(folder), str(die)]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=200)


@pytest.mark.long
def test_a_search_goes_on_to_the_same_though_tune_dies_and_then_its_driver(gcs: str, tmp_path: Path) -> None:
    """Nothing is measured again, and what the dead had reserved is free: the search goes on with all workers."""
    driver = drive(gcs, tmp_path, 6)
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    assert (tmp_path / "killed").exists()
    again = live(history=recorded(tmp_path))
    assert len(again.history) == 6
    rest = list(on_ray(workers=3).search(again))
    assert len(rest) == TRIALS - 6
    assert plain(again.history) == without_ray(live())


@pytest.mark.long
def test_a_driver_outside_the_cluster_searches_through_ray_client(gcs: str, tmp_path: Path) -> None:
    """Its table of trials stays with it."""
    pytest.importorskip("grpc", reason="Ray Client is an extra: pip install 'ray[client]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = f"-m ray.util.client.server --mode legacy --address {gcs} --host 127.0.0.1 --port {port}".split()
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(int(port))
        driver = drive(f"ray://127.0.0.1:{port}", tmp_path, 0)
    finally:
        server.kill()
        server.wait()
    assert driver.returncode == 0, driver.stderr
    assert plain(recorded(tmp_path)) == without_ray(live())


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


@pytest.mark.long
def test_racing_freely_gives_poor_candidates_up_on_parts_of_a_gpu_and_survives_a_worker(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    search = live(trials=18, measure=Assigned(ToyMeasure(Toy(), noise=0.02, lethal=str(killed))))
    searcher = {"use": "with_tune_search", "algorithm": "optuna"}
    racing = on_ray(trials=18, mode="free", asha=True, searcher=searcher, ray=Cluster(gpus=0.25, retries=1))
    found = list(racing.search(search))
    states = [trial.state for trial in found]
    assert killed.exists()
    assert sorted(trial.number for trial in found) == list(range(18))
    assert len({trial.architecture.digest for trial in found}) == 18
    assert set(states) == {"done", "stopped"}
    assert states.count("stopped") >= 4
    best = winner(found, (ACCURACY,), search.problem.limit)
    assert best.state == "done"
    assert best.value("accuracy") == Toy().measure(best.architecture)["accuracy"]
    assert {tuple(t.metrics[name] for name in ("cpus", "gpus", "threads")) for t in found} == {(1, 0.25, 1)}


def test_workers_that_die_more_often_than_there_are_retries_cost_a_trial() -> None:
    search = live()
    dispatcher = Dispatcher(Evolution(trials=TRIALS, population=4, sample=2), search, 5)
    job = dispatcher.next()
    assert job is not None
    lost: Counter[int] = Counter()
    strategy._settle(dispatcher, Measured(job.number, None), lost, 1)
    assert not search.history
    assert dispatcher.next() == job
    strategy._settle(dispatcher, Measured(job.number, None), lost, 1)
    (trial,) = search.history
    assert (trial.number, trial.state, trial.error) == (job.number, "failed", "the worker died (2 times)")


def test_a_cluster_that_loses_its_last_machine_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for ever; and what it had reserved is free again, or the next test would wait."""
    monkeypatch.setattr(strategy, "PATIENCE", 0.0)
    search = live()
    search.record = lambda _: monkeypatch.setattr(cluster, "_machines", lambda: [])
    with pytest.raises(ClusterError, match="no machine is left"):
        list(on_ray(workers=1).search(search))
    assert 1 <= len(search.history) < TRIALS


def test_room_is_counted_machine_by_machine_and_gpu_by_gpu() -> None:
    assert [room(Cluster(cpus=cpus)) for cpus in (0.5, 1, 2, 4)] == [6, 3, 1, 0]
    assert [room(Cluster(cpus=0.1, gpus=gpus)) for gpus in (0.1, 0.3, 0.4, 1, 2)] == [10, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"asha": True}, "mode: free"),
        ({"asha": True, "mode": "free", "objectives": (ACCURACY, MACS)}, "2 objectives"),
        ({"asha": True, "mode": "free", "measure": Toy().measure}, "knows no shares"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    given = {key: options.pop(key) for key in ("objectives", "measure") if key in options}
    toy = Toy()
    with pytest.raises(StrategyError, match=message):
        on_ray(**options).search(toy.search(trials=TRIALS, limit=Limit(toy, macs="60%"), **given))


def test_a_worker_that_fits_no_machine_is_refused_before_anything_trains() -> None:
    with pytest.raises(ClusterError, match=r"found 1 CPUs and 2 GPUs .* 'local' has \(3 CPUs and 1 GPUs\)"):
        on_ray(ray=Cluster(gpus=2)).check(live().problem)
    with pytest.raises(ValueError, match="a whole number"):
        TypeAdapter(Cluster).validate_python({"gpus": 1.5})
