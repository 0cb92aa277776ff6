"""`nas tau` on Ray's workers: the same as without, and whatever dies costs a retry. Ray starts once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tau_fakes import Doubling

from nas.errors import ClusterError, RunError, TrainingError
from nas.searchspaces import Architecture
from nas.studies.study import Study

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'nas[ray]'")
from nas.cluster import Cluster, connected  # noqa: E402
from nas.studies.on_ray import on_ray  # noqa: E402

pytestmark = pytest.mark.timeout(240)
FEW = {"architectures": 3, "epochs": 1}


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with connected(Cluster(), 2):
        yield


@pytest.fixture
def lives(tmp_path: Path) -> Path:
    folder = tmp_path / "lives"
    folder.mkdir()
    return folder


def architectures(*values: int) -> list[Architecture]:
    return [Architecture({"x": value}) for value in values]


def test_the_answer_is_the_same_as_without_ray(finished: Study, tmp_path: Path) -> None:
    no_report = shutil.ignore_patterns("report")
    alone, together = (
        Study.open(shutil.copytree(finished.folder.path, tmp_path / name, ignore=no_report))
        for name in ("alone", "together")
    )
    expected, found = alone.tau(**FEW), together.tau(**FEW, workers=2)
    pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
    pd.testing.assert_frame_equal(found.summary, expected.summary, check_exact=True)


def test_a_worker_that_dies_costs_a_retry(lives: Path) -> None:
    (lives / "one").touch()
    found = list(on_ray(Doubling(str(lives)), architectures(1, 2, 3), Cluster(), 2))
    assert sorted(row["twice"] for row in found) == [2, 4, 6]
    assert not list(lives.iterdir())


def test_workers_that_die_again_and_again_end_it_with_what_to_do(lives: Path) -> None:
    (lives / "one").touch()
    with pytest.raises(RunError, match=r"the worker died, and so did those that tried again.*run the same command"):
        list(on_ray(Doubling(str(lives)), architectures(2), Cluster(retries=0), 1))


def test_a_fault_of_the_training_is_raised_as_it_is(lives: Path) -> None:
    with pytest.raises(TrainingError, match="the loss is nan"):
        list(on_ray(Doubling(str(lives)), architectures(4), Cluster(), 1))


def test_addresses_where_nobody_answers_are_refused(finished: Study, tmp_path: Path) -> None:
    ray.shutdown()  # the last test: who is connected already is not asked
    study = Study.open(shutil.copytree(finished.folder.path, tmp_path / "run"))
    with pytest.raises(ClusterError, match="no cluster answers there"):
        study.tau(**FEW, address="127.0.0.1:1")
    assert not list(study.folder.path.glob("tau/*"))
