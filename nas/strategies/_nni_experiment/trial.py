"""One trial of an NNI experiment, a process that NNI's manager starts: extract a candidate, train it, report its
validation accuracy after each epoch and at the end.
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
from torch import nn

from nas.data import Data
from nas.evaluation import accuracy
from nas.searchspaces import Architecture
from nas.system.packing import unpack
from nas.training import Epoch, PlainStep, Recipe, Runtime, fit

if TYPE_CHECKING:
    from nas.supernets import Supernet


@final
@dataclass(frozen=True, eq=False)
class Task:
    """What all trials of an experiment have in common."""

    supernet: Supernet
    data: Data
    recipe: Recipe
    seed: int
    device: str
    threads: int

    def measure(self, architecture: Architecture) -> Mapping[str, float]:
        """Metrics of a candidate after its training."""
        torch.set_num_threads(self.threads)
        model = self.supernet.extract(architecture)

        def evaluate(module: nn.Module) -> Mapping[str, float]:
            return accuracy(module, self.data.validation, device=self.device).metrics

        def report(epoch: Epoch) -> None:
            nni.report_intermediate_result(_plotted(epoch.metrics))

        runtime = Runtime(device=self.device, evaluate=evaluate, on_epoch=report, title="candidate", progress=False)
        fit(model, PlainStep(), self.data, self.recipe, seed=self.seed, runtime=runtime)
        return evaluate(model)


def _plotted(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics with the one that NNI's page plots."""
    return {"default": metrics["accuracy"], **metrics}


def main(path: str) -> None:
    """Runs the trial whose candidate NNI has for us; `path` is the file of the task."""
    candidate = Architecture(nni.get_next_parameter())
    with Path(path).open("rb") as file:
        task: Task = unpack(pickle.load(file))
    nni.report_final_result(_plotted(task.measure(candidate)))


if __name__ == "__main__":
    from nas.strategies._nni_experiment import trial  # under its own name, by which the task was pickled

    trial.main(sys.argv[1])
