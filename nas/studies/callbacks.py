"""What a Python program may hear of a run while it is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.search import Trial
from nas.studies.run.results import StageResult
from nas.training import Epoch


class Callback:
    """Hears what a run does, in the process that drives it; override what you want to hear. What it raises ends the
    run, which goes on where it was when it is run again.
    """

    def on_epoch(self, training: str, epoch: Epoch) -> None:
        """An epoch of a training is done, and kept: "base", "supernet", "retrain winner" ..."""

    def on_trial(self, trial: Trial) -> None:
        """A trial is known, and kept."""

    def on_stage(self, stage: str, result: StageResult) -> None:
        """A stage is done, and its result is kept."""


@final
@dataclass(frozen=True)
class Callbacks(Callback):
    """Several, told one after the other."""

    all: Sequence[Callback] = ()

    @override
    def on_epoch(self, training: str, epoch: Epoch) -> None:
        for one in self.all:
            one.on_epoch(training, epoch)

    @override
    def on_trial(self, trial: Trial) -> None:
        for one in self.all:
            one.on_trial(trial)

    @override
    def on_stage(self, stage: str, result: StageResult) -> None:
        for one in self.all:
            one.on_stage(stage, result)
