"""One trial of an NNI experiment, a process that NNI's manager starts: extract a candidate, train it, report its
metrics on the validation split after each epoch and at the end.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import nni
import torch

from nas.data import Data
from nas.evaluation import Watch
from nas.searchspaces import Architecture
from nas.system.packing import unpack
from nas.training import Epoch, FitCall, PlainStep, Recipe, Runtime, fit

if TYPE_CHECKING:
    from nas.supernets import Supernet


@final
@dataclass(frozen=True, eq=False)
class CandidateTraining:
    """How an experiment measures a candidate: what all of its trials have in common."""

    supernet: Supernet
    data: Data
    recipe: Recipe
    seed: int
    device: str
    threads: int
    eval_batch: int

    def measure(self, architecture: Architecture) -> Mapping[str, float]:
        """Metrics of a candidate after its training."""
        torch.set_num_threads(self.threads)
        model = self.supernet.extract(architecture)
        watch = Watch(self.data.validation, self.data.task, batch=self.eval_batch)

        def report(epoch: Epoch) -> None:
            nni.report_intermediate_result(self.plotted(epoch.metrics))

        runtime = Runtime(device=self.device, evaluate=watch, on_epoch=report, title="candidate", progress=False)
        fit(FitCall(model, PlainStep(), self.data, self.recipe, self.seed), runtime)
        return watch(model)

    def plotted(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Metrics with the one that NNI's page plots, called "default": the task's first."""
        return {"default": metrics[self.data.task.metrics[0].name], **metrics}


def main(path: str) -> None:
    """Runs the trial whose candidate NNI has for us; `path` is the file with the packed `CandidateTraining`."""
    candidate = Architecture(nni.get_next_parameter())
    with Path(path).open("rb") as file:
        training: CandidateTraining = unpack(pickle.load(file))
    nni.report_final_result(training.plotted(training.measure(candidate)))


if __name__ == "__main__":
    from nas.strategies._nni_experiment import trial  # under its own name, by which it was pickled

    trial.main(sys.argv[1])
