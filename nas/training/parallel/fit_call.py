"""A call of `fit` as a value, so that other processes can make it too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from nas.data.split import Batches, Trainable
from nas.system.packing import Packed, pack, unpack
from nas.training.fit import Runtime, fit
from nas.training.history import History
from nas.training.recipe import Recipe
from nas.training.step import Step


@final
@dataclass(frozen=True, eq=False)
class FitCall:
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

    def fit(self, runtime: Runtime) -> History:
        """Trains in this process, at the place that `runtime` says."""
        runtime = replace(runtime, refresh=self.refresh, title=self.title, progress=False)
        return fit(self.module, self.step, self.data, self.recipe, seed=self.seed, runtime=runtime)

    def packed(self) -> Packed:
        """For another process; of the data, the training split alone."""
        return pack(replace(self, data=_Train(self.data.train, self.data.classes, self.data.name)))

    @classmethod
    def unpacked(cls, packed: Packed) -> FitCall:
        """What `packed` gave. The images share its memory, modules do not: they are written to."""
        job: FitCall = unpack(packed)
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
