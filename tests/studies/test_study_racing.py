"""Who measures on shares of the images sees those of the search-validation split in an order drawn from the seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from nas.evaluation import Measure
from nas.search import Objective, Strategy
from nas.strategies.evolution import Evolution
from nas.strategies.halving import Halving
from nas.strategies.racing import Racing
from nas.strategies.with_raytune import WithRaytune
from nas.studies.stages.explore import _search
from nas.studies.study import Study


def test_only_who_measures_on_shares_sees_the_images_in_another_order(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    workshop = Study.open(run)._workshop(show=False)
    images = workshop.data.validation.first(1000)

    def seen(strategy: Strategy) -> torch.Tensor:
        with workshop.store() as store:
            live = _search(workshop, store, "other", strategy, (Objective("accuracy", maximise=True),))
        assert isinstance(live.measure, Measure)
        return live.measure.evaluator._split.first(1000)

    for whole in (Evolution(), WithRaytune()):
        assert torch.equal(seen(whole), images)
    raced = seen(Racing())
    assert not torch.equal(raced, images)
    for again in (Racing(), Halving(), WithRaytune(asha=True, mode="free")):
        assert torch.equal(raced, seen(again))
    assert sorted(map(float, raced.float().mean((1, 2, 3)))) == sorted(map(float, images.float().mean((1, 2, 3))))
