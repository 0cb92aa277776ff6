"""A training as other processes get it: the call of `fit`, and what of its runtime goes with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from nas.data.split import Batches
from nas.system.packing import Packed, pack, unpack
from nas.tasks import Task
from nas.training.fit import Runtime, fit
from nas.training.fit_call import FitCall
from nas.training.history import History


@final
@dataclass(frozen=True, eq=False)
class Assignment:
    """What the ranks of a training do. All of it must be picklable: functions by their names, not as closures.

    call       what is trained, and how
    refresh    as in `Runtime`
    evaluate   as in `Runtime`, for the first rank; None = the ranks evaluate nothing
    title      as in `Runtime`
    threads    of torch, in each process
    """

    call: FitCall
    refresh: Callable[[nn.Module], object] | None
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None
    title: str
    threads: int

    @classmethod
    def of(cls, call: FitCall, runtime: Runtime, threads: int) -> Assignment:
        """The assignment of a call whose first rank evaluates as `runtime` says."""
        return cls(call, runtime.refresh, runtime.evaluate, runtime.title, threads)

    def fit(self, runtime: Runtime) -> History:
        """Trains in this process, which is the rank that `runtime` says."""
        return fit(self.call, replace(runtime, refresh=self.refresh, title=self.title, progress=False))

    def packed(self) -> Packed:
        """For another process; of the data, the training split alone."""
        data = self.call.data
        train = _TrainOnly(data.train, data.task, data.classes, data.name)
        return pack(replace(self, call=replace(self.call, data=train)))

    @classmethod
    def unpacked(cls, packed: Packed) -> Assignment:
        """What `packed` gave. The images share its memory; modules, which are written to, are copied, and with them
        what looks at them.
        """
        assignment: Assignment = unpack(packed)
        assert isinstance(assignment, cls)
        call = assignment.call
        # Together: a step, and what is called between epochs, may hold the module. Splits are no part of the copy.
        module, step, refresh, evaluate = copy.deepcopy(
            (call.module, call.step, assignment.refresh, assignment.evaluate)
        )
        return replace(assignment, call=replace(call, module=module, step=step), refresh=refresh, evaluate=evaluate)


@final
@dataclass(frozen=True, eq=False)
class _TrainOnly:
    """What `fit` needs to know of data: a `Trainable`."""

    train: Batches
    task: Task | None
    classes: int
    name: str
