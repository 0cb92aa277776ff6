"""`nas tau` on Ray's workers: the same as without, and a worker that dies costs a retry. Ray starts once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nas.errors import ClusterError, RunError, SpaceError
from nas.searchspaces import Architecture
from nas.studies.study import Study
from nas.testing.toy import Toy, ToyMeasure

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from nas.studies.tau.on_ray import on_ray  # noqa: E402
from nas.system.cluster import Cluster, connected  # noqa: E402

FEW = {"architectures": 3, "epochs": 1, "seeds": 2}


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with connected(Cluster(), 2):
        yield


def drawn(count: int) -> list[Architecture]:
    return Toy().space.from_table(Toy().space.sample_table(np.random.default_rng(0), count))


@pytest.mark.long
def test_the_answer_is_the_same_as_without_ray(finished: Study, tmp_path: Path) -> None:
    no_report = shutil.ignore_patterns("report")
    alone, together = (
        Study.open(shutil.copytree(finished.folder.path, tmp_path / name, ignore=no_report))
        for name in ("alone", "together")
    )
    expected, found = alone.tau(**FEW), together.tau(**FEW, workers=2)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    pd.testing.assert_frame_equal(found.summary, expected.summary, check_exact=True)


def test_a_worker_that_dies_costs_a_retry(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    found = list(on_ray(ToyMeasure(Toy(), lethal=str(killed)), drawn(3), Cluster(), 2))
    assert killed.exists()
    accuracies = [Toy().measure(architecture)["accuracy"] for architecture in drawn(3)]
    assert sorted(row["accuracy"] for row in found) == sorted(accuracies)


def test_workers_that_die_again_and_again_end_it_with_what_to_do(tmp_path: Path) -> None:
    work = ToyMeasure(Toy(), lethal=str(tmp_path / "killed"))
    with pytest.raises(RunError, match=r"the worker died, and so did those that tried again.*run the same command"):
        list(on_ray(work, drawn(1), Cluster(retries=0), 1))


def test_a_fault_of_the_user_is_raised_as_it_is_and_ours_with_its_cause() -> None:
    with pytest.raises(SpaceError, match="'nowhere'") as caught:
        list(on_ray(Toy().space.check, [Architecture({"nowhere": 1})], Cluster(), 1))  # type: ignore[arg-type]
    assert not isinstance(caught.value, ray.exceptions.RayError)
    with pytest.raises(RuntimeError, match="no memory"):
        list(on_ray(ToyMeasure(Toy(), fails=1), drawn(1), Cluster(), 1))


def test_addresses_where_nobody_answers_are_refused(finished: Study, tmp_path: Path) -> None:
    ray.shutdown()  # the last test: who is connected already is not asked
    study = Study.open(shutil.copytree(finished.folder.path, tmp_path / "run"))
    with pytest.raises(ClusterError, match="no cluster answers there"):
        study.tau(**FEW, address="127.0.0.1:1")
    assert not list(study.folder.path.glob("tau/*"))
