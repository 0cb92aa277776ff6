"""Training on Ray workers: what one process finds, whatever dies. Ray starts once, and takes some seconds to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ranks_fakes import SEARCHES, Ominous, refreshed
from test_fit_supernet import make_supernet
from training_fakes import distance, make_data, make_net

from nas.errors import CheckpointError, ClusterError, ClusterLostError, NasError, StoreError, TrainingError
from nas.evaluation import Watch
from nas.system import head
from nas.system.cluster import Cluster, connected
from nas.testing.relaxed import Bench
from nas.training import Epoch, FitCall, PlainStep, Recipe, Runtime, fit
from nas.training.rules import find

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from ray._private import worker  # noqa: E402

from nas.training.parallel.ray_train import OnRay, _Keeper  # noqa: E402

pytestmark = pytest.mark.timeout(600)
RECIPE = Recipe(epochs=3, lr=5e-3, batch=8, warmup=1, ema=0.5, mixup=0.2, augment="crop")
NOBODY = "127.0.0.1:9"


@pytest.fixture(scope="module")
def _workers() -> Iterator[None]:
    """Two workers, who can import the steps of the tests."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *([before] if before else [])])
    with connected(Cluster(), 2):
        yield
    os.environ["PYTHONPATH"] = before or ""


@pytest.mark.usefixtures("_workers")
def test_two_workers_train_as_one_whatever_befalls_them(tmp_path: Path) -> None:
    """One is killed in the second epoch, which costs a retry; in the third, one's loss is not a number, which is said
    as without Ray, and not tried again. What they left is then continued by a single worker.
    """
    data, alone, there = make_data(45), make_supernet(), make_supernet()
    runtime = Runtime(
        refresh=refreshed, evaluate=Watch(data.validation, data.task, alone.space.smallest), progress=False
    )
    step = find("sandwich")().step(alone.space)
    expected = fit(FitCall(alone, step, data, RECIPE, 0), runtime)
    seen: list[Epoch] = []
    path, scene = tmp_path / "run" / "training.safetensors", tmp_path / "scene"
    runtime = replace(runtime, checkpoint=path, on_epoch=seen.append)
    kept = f"the checkpoint of epoch 2 is kept in {path}; the learning rate was"
    said = f"training: the loss is nan in epoch 3, step 2 of 6; {kept}"
    with pytest.raises(TrainingError, match=re.escape(said)):
        OnRay(2, Cluster())(FitCall(there, Ominous(step, scene), data, RECIPE, 0), runtime)
    assert scene.exists()
    assert [row.epoch for row in seen] == [1, 2]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    found = fit(FitCall(there, step, data, RECIPE, 0), runtime)
    assert list(found) == seen
    assert [row.loss for row in found] == pytest.approx([row.loss for row in expected], abs=1e-4)
    assert [dict(row.metrics) for row in found] == [pytest.approx(dict(row.metrics), abs=1e-4) for row in expected]
    assert distance(list(alone.parameters()), list(there.parameters())) < 1e-4


@pytest.mark.long
@pytest.mark.usefixtures("_workers")
def test_a_gradient_strategy_finds_on_two_workers_what_it_finds_here() -> None:
    """Its trajectory, too, which the first worker tells."""
    kind, strategy = SEARCHES["dan"]
    here, there = Bench(kind), Bench(kind)
    there.search.work = replace(there.work, trainer=OnRay(2, Cluster()))
    (expected,), (found,) = here.run(strategy), there.run(strategy)
    assert found.architecture == expected.architecture
    assert [row["metrics"] for row in there.rows] == [pytest.approx(row["metrics"], abs=1e-3) for row in here.rows]
    assert distance(list(here.adopted.parameters()), list(there.adopted.parameters())) < 1e-3


@pytest.mark.long
@pytest.mark.usefixtures("_workers")
def test_a_driver_that_loses_its_run_keeps_nothing_of_what_workers_train(tmp_path: Path) -> None:
    def permit() -> None:
        raise StoreError("another process has taken over")

    runtime = Runtime(checkpoint=tmp_path / "training.safetensors", permit=permit, progress=False)
    with pytest.raises(StoreError, match="taken over"):
        OnRay(2, Cluster())(FitCall(make_net(), PlainStep(), make_data(), RECIPE, 0), runtime)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_workers")
def test_what_dies_on_a_cluster_is_said_and_what_work_raises_there_stays() -> None:
    class Keeping:  # as the keeper of a training
        def work(self) -> None:
            raise ValueError("ours")

    keeper = ray.remote(Keeping).options(num_cpus=0).remote()
    with pytest.raises(ValueError, match="ours"), connected(Cluster(), 2):
        ray.get(keeper.work.remote())
    ray.kill(keeper)
    with (
        pytest.raises(ClusterLostError, match=r"'local' that .* is gone \(.*Died.*; everything"),
        connected(Cluster(), 2),
    ):
        ray.get(keeper.work.remote())


@pytest.mark.usefixtures("_workers")
def test_of_a_cluster_that_was_joined_the_raylet_of_this_machine_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    own = head._head()
    monkeypatch.setattr(worker._global_node, "all_processes", {})
    assert head._head() == (own[0], [])
    assert len(own[0]) == 2
    assert all(head._answers(address) for address in own[0])


def test_a_finished_training_needs_no_ray_and_a_damaged_one_says_so_at_once(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    runtime = Runtime(checkpoint=path, progress=False)
    call = FitCall(make_net(), PlainStep(), make_data(), RECIPE, 0)
    first = fit(call, runtime)
    nowhere = OnRay(2, Cluster(address=NOBODY))
    assert nowhere(replace(call, module=make_net()), runtime) == first
    path.write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="damaged"):
        nowhere(replace(call, module=make_net()), runtime)


def test_what_the_keeper_keeps(tmp_path: Path) -> None:
    keeper = _Keeper(tmp_path / "training.safetensors")
    assert keeper.read() is None
    rows = [Epoch(epoch, 0.5, 0.1, 1.0) for epoch in (1, 2)]
    assert [_permitted(keeper, row) for row in rows] == [None, None]
    assert (keeper.read(), keeper.epochs(), keeper.rows(1)) == (b"\x02", 2, rows[1:])
    keeper.fail(CheckpointError("/there/x: damaged"), Path("/there/x"))
    assert str(keeper.fault()) == f"{tmp_path}/training.safetensors: damaged"
    (tmp_path / "file").touch()
    assert isinstance(_permitted(_Keeper(tmp_path / "file" / "training.safetensors"), rows[0]), CheckpointError)


def test_a_checkpoint_that_the_driver_does_not_permit_is_not_written_and_nobody_reads_before(tmp_path: Path) -> None:
    keeper = _Keeper(tmp_path / "training.safetensors")
    assert not keeper.offered(0)
    with ThreadPoolExecutor() as pool:
        written = pool.submit(keeper.write, b"x", Epoch(1, 0.5, 0.1, 1.0))
        assert keeper.offered(60)
        read = pool.submit(keeper.read)
        assert not list(tmp_path.iterdir())
        assert not written.done()
        assert not read.done()
        keeper.permit()
        assert (written.result(60), read.result(60)) == (None, b"x")
    assert not keeper.offered(0)


def _permitted(keeper: _Keeper, row: Epoch) -> NasError | None:
    with ThreadPoolExecutor() as pool:
        written = pool.submit(keeper.write, bytes([row.epoch]), row)
        assert keeper.offered(60)
        keeper.permit()
        return written.result(60)


def test_addresses_where_no_cluster_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", NOBODY)  # `auto` would find a cluster that other tests started
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for address in ("auto", NOBODY, "nowhere"):
        with pytest.raises(ClusterError, match=f"found '{address}', but no cluster answers there"):
            Cluster(address=address).check(2)
