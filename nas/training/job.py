"""A call of `fit` as a value, so that other processes can make it too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from nas.training.data.split import Batches, Trainable
from nas.training.fit import Session, fit
from nas.training.history import History
from nas.training.packing import Packed, pack, unpack
from nas.training.recipe import Recipe
from nas.training.step import Step


@final
@dataclass(frozen=True, eq=False)
class Job:
    """What to train, and how; see `fit`. All of it must be picklable: functions by their names, not as closures."""

    module: nn.Module
    step: Step
    data: Trainable
    recipe: Recipe
    seed: int
    refresh: Callable[[nn.Module], object] | None
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None
    title: str
    threads: int

    def fit(self, session: Session) -> History:
        """Trains in this process, at the place that `session` says."""
        session = replace(session, refresh=self.refresh, title=self.title, progress=False)
        return fit(self.module, self.step, self.data, self.recipe, seed=self.seed, session=session)

    def packed(self) -> Packed:
        """For another process; of the data, the training split alone."""
        return pack(replace(self, data=_Train(self.data.train, self.data.classes, self.data.name)))

    @classmethod
    def unpacked(cls, packed: Packed) -> Job:
        """What `packed` gave. The images share its memory, modules do not: they are written to."""
        job: Job = unpack(packed)
        assert isinstance(job, cls)
        module, step = copy.deepcopy((job.module, job.step))  # together: a step may hold the module
        return replace(job, module=module, step=step)


@final
@dataclass(frozen=True, eq=False)
class _Train:
    """What `fit` needs to know of data."""

    train: Batches
    classes: int
    name: str
