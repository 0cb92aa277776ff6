"""`Relaxed`: the abstract half for gradient strategies. They train architecture parameters beside the weights, through
gates on the supernet's axes.

A method is one file with three functions: its parameters, the step that trains them, and how much it likes each value
in the end. The loop is that of all training, so checkpoints, mixed precision and accumulation are there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from nas import seeds
from nas.numbers import Rate
from nas.search.adopting import Adopting, Learnt
from nas.search.problem import Problem
from nas.search.search import Search
from nas.searchspaces.architecture import Architecture
from nas.supernets import Supernet
from nas.training import Recipe, StepContext
from nas.training.objectives.relaxation import Relaxation, relax
from nas.training.step import Step

RECIPE = Recipe(epochs=10, lr=1e-3, warmup=1)


@dataclass(frozen=True, kw_only=True)
class Relaxed(Adopting):
    """A gradient strategy: it trains a copy of the supernet with architecture parameters, and ends with one trial.

    The trial is the architecture derived at the end, measured on the trained copy, which the run adopts: the winner is
    extracted from it. A search that was killed continues from the checkpoint of its last epoch and ends the same.

    training   its recipe
    arch_lr    learning rate of the architecture parameters
    weights    whether the network's weights are trained as well; else the architecture parameters alone
    """

    training: Recipe = RECIPE
    arch_lr: Rate = 1e-2
    weights: bool = True

    guided: ClassVar[bool] = True

    @abstractmethod
    def parameters(self, problem: Problem) -> dict[str, Tensor]:
        """Architecture parameters as they start, on the CPU."""

    @abstractmethod
    def step(self, problem: Problem, relaxation: Relaxation) -> Step:
        """What one step minimises: called once, before training. See `nas.training.Step`."""

    @abstractmethod
    def scores(self, problem: Problem, parameters: Mapping[str, Tensor]) -> Sequence[np.ndarray]:
        """For each choice of the space, in order: how much each of its values is liked (float, values)."""

    def trajectory(
        self,
        problem: Problem,  # noqa: ARG002
        supernet: Supernet,  # noqa: ARG002
        parameters: Mapping[str, Tensor],
    ) -> Mapping[str, float]:
        """What the report plots over epochs: name such as "alpha.3" -> share. By default each parameter's mean."""
        return {name: float(value.mean()) for name, value in parameters.items()}

    def notes(self, problem: Problem, parameters: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the trial remembers, as plain JSON: how much each value is liked."""
        liked = zip(problem.space, self.scores(problem, parameters), strict=True)
        return {"scores": {name: [round(float(score), 6) for score in values] for name, values in liked}}

    def derive(self, problem: Problem, parameters: Mapping[str, Tensor]) -> Architecture:
        """The architecture within the limit whose values are liked most, in sum: exact, by dynamic programming."""
        lattice = (problem.limit or problem.space).lattice
        return problem.space.from_table(lattice.best(self.scores(problem, parameters)))[0]

    @override
    def learn(self, search: Search, supernet: Supernet) -> Learnt:
        assert search.work is not None
        problem = search.problem
        if not self.weights:
            supernet.requires_grad_(False)
        relaxation = Relaxation(supernet, self.parameters(problem), self.arch_lr / self.training.peak_lr)
        step, watch = self.step(problem, relaxation), partial(self.trajectory, problem, supernet)
        history = relax(relaxation, step, search.work, self.training, watch)
        learned = {name: value.detach().cpu() for name, value in relaxation.arch_parameters.items()}
        return Learnt(self.derive(problem, learned), history, self.notes(problem, learned))


def noise_generator(context: StepContext) -> torch.Generator:
    """The generator of a step's noise: on the CPU, from (seed, epoch, step) alone."""
    return torch.Generator().manual_seed(seeds.derive(context.seed, seeds.NOISE, context.epoch, context.step))
