"""A race by parts in a study: on the search-validation split, in an order by chance that the seed decides."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from nas.evaluation import Measure
from nas.search import Objective, Strategy
from nas.strategies.evolution import Evolution
from nas.strategies.racing import Racing
from nas.studies.stages.explore import _search
from nas.studies.study import Study


def test_only_a_race_by_parts_sees_the_images_in_another_order(finished: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished.folder.path, tmp_path / "run"))
    workshop = Study.open(run)._workshop(show=False)
    images = workshop.data.validation.first(1000)

    def seen(strategy: Strategy) -> torch.Tensor:
        with workshop.store() as store:
            live = _search(workshop, store, "other", strategy, (Objective("accuracy", maximise=True),))
        assert isinstance(live.measure, Measure)
        return live.measure.evaluator._split.first(1000)

    assert torch.equal(seen(Evolution()), images)
    raced = seen(Racing())
    assert not torch.equal(raced, images)
    assert torch.equal(raced, seen(Racing()))
    assert sorted(map(float, raced.float().mean((1, 2, 3)))) == sorted(map(float, images.float().mean((1, 2, 3))))
