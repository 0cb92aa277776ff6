"""Relaxed training: a supernet and architecture parameters learn together, in the one loop that trains everything.

Mixed precision, gradient accumulation, checkpoints and resumption are therefore those of `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from nas.supernets import Supernet
from nas.training.fit_call import FitCall
from nas.training.history import History
from nas.training.recipe import Recipe
from nas.training.step import Step
from nas.training.workplace import Workplace

Trajectory = Callable[[Mapping[str, Tensor]], Mapping[str, float]]
"""Architecture parameters (name -> tensor) -> what to remember of them after an epoch."""


@final
class Relaxation(nn.Module):
    """A supernet with architecture parameters beside its weights.

    `pace` is the learning rate of the architecture parameters over that of the weights; neither decay.
    """

    def __init__(self, supernet: Supernet, parameters: Mapping[str, Tensor], pace: float) -> None:
        super().__init__()
        self.supernet = supernet
        self.names = tuple(parameters)
        self.values = nn.ParameterList([nn.Parameter(value.detach().clone()) for value in parameters.values()])
        self.pace = pace

    @property
    def arch_parameters(self) -> dict[str, Tensor]:
        """The architecture parameters by name."""
        return dict(zip(self.names, self.values, strict=True))

    def paces(self) -> Mapping[str, float]:
        """See `nas.training.optimiser.Paced`."""
        return {f"values.{index}": self.pace for index in range(len(self.names))}


def relax(relaxation: Relaxation, step: Step, work: Workplace, recipe: Recipe, trajectory: Trajectory) -> History:
    """Train `relaxation` in place; each epoch of the history has the trajectory as its metrics.

    Raises `TrainingError` when a loss is not a number: the checkpoint of the last good epoch is kept.
    """
    runtime = replace(work.runtime, evaluate=_Watch(relaxation, trajectory), refresh=_refresh)
    history = work.trainer(FitCall(relaxation, step, work.data, recipe, work.seed), runtime)
    for name, value in relaxation.arch_parameters.items():
        assert bool(value.isfinite().all()), f"{name} is not finite, though every loss was"
    return history


@final
@dataclass(frozen=True, eq=False)
class _Watch:
    """What is remembered after an epoch: of the parameters as they are, also where the weights have an average."""

    relaxation: Relaxation
    trajectory: Trajectory

    @torch.no_grad()
    def __call__(self, _: nn.Module) -> Mapping[str, float]:
        return self.trajectory(self.relaxation.arch_parameters)


def _refresh(module: nn.Module) -> None:
    assert isinstance(module, Relaxation)
    module.supernet.refresh()
