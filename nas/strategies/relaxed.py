"""`Relaxed`: the abstract half for gradient strategies. They train architecture parameters beside the weights, through
gates on the supernet's axes.

A method is one file with four functions: its parameters, the gates they make, a penalty, and how much it likes each
value in the end. The loop is here.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from nas.errors import TrainingError
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.space import SearchSpace
from nas.strategies.base import Strategy
from nas.strategies.problem import Problem, Trial

if TYPE_CHECKING:
    from nas.supernets.supernet import Supernet


@final
@dataclass(frozen=True)
class Moment:
    """Where a search is: `progress` in [0, 1) over all steps, for schedules, and the generator that this step's noise
    must come from.
    """

    progress: float
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True)
class Relaxed(Strategy):
    """A gradient strategy: every epoch trains on the training split and ends with one trial, the architecture derived
    at that moment.

    So `trials` is the number of epochs. Weights are trained on a copy of the supernet (`weights_lr: 0` leaves them as
    they are), so that what is measured, and what other strategies find, does not depend on this one. A search that
    was killed trains again from the start, with the same seeds, and measures only what is not in the history.
    """

    trials: Annotated[int, Field(ge=1)] = 10
    lr: Annotated[float, Field(gt=0)] = 1e-2
    weights_lr: Annotated[float, Field(ge=0)] = 0.0
    batch: Annotated[int, Field(ge=1)] = 64

    guided: ClassVar[bool] = True
    needs_supernet: ClassVar[bool] = True
    where: ClassVar[Literal["consumed", "produced"]] = "consumed"
    """Where gates multiply, see `Supernet.relaxed`."""

    @abstractmethod
    def parameters(self, problem: Problem) -> dict[str, Parameter]:
        """Fresh architecture parameters, on the CPU."""

    @abstractmethod
    def gates(self, problem: Problem, parameters: Mapping[str, Parameter], moment: Moment) -> Mapping[str, Tensor]:
        """Axis -> one gate per unit, differentiable towards the parameters."""

    @abstractmethod
    def penalty(
        self, problem: Problem, parameters: Mapping[str, Parameter], gates: Mapping[str, Tensor], moment: Moment
    ) -> Tensor:
        """What is added to the loss, a scalar: sparsity, or the expected cost."""

    @abstractmethod
    def scores(self, problem: Problem, parameters: Mapping[str, Parameter]) -> Sequence[np.ndarray]:
        """For each choice of the space, in order: how much each of its values is liked (float, values)."""

    def derive(self, problem: Problem, parameters: Mapping[str, Parameter]) -> Architecture:
        """The architecture within the limit whose values are liked most, in sum: exact, by dynamic programming."""
        lattice = (problem.limit or problem.space).lattice
        return problem.space.from_table(lattice.best(self.scores(problem, parameters)))[0]

    def search(self, problem: Problem) -> Iterator[Trial]:
        """See `Strategy.search`."""
        self.check(problem)
        assert problem.supernet is not None
        assert problem.train is not None
        return self._loop(problem)

    def _loop(self, problem: Problem) -> Iterator[Trial]:
        supernet = copy.deepcopy(problem.supernet)
        assert supernet is not None
        supernet.requires_grad_(self.weights_lr > 0).train()
        device = next(supernet.parameters()).device
        parameters = {name: Parameter(p.detach().to(device)) for name, p in self.parameters(problem).items()}
        groups = [{"params": list(parameters.values()), "lr": self.lr}]
        if self.weights_lr > 0:
            groups.append({"params": list(supernet.parameters()), "lr": self.weights_lr})
        optimiser = torch.optim.Adam(groups)
        for epoch in range(problem.trials):
            self._epoch(problem, supernet, parameters, optimiser, epoch)
            if epoch >= len(problem.history):
                yield from problem.evaluate([self.derive(problem, parameters)])

    def _epoch(
        self,
        problem: Problem,
        supernet: Supernet,
        parameters: Mapping[str, Parameter],
        optimiser: torch.optim.Optimizer,
        epoch: int,
    ) -> None:
        """One pass over the training split. Its shuffle and its noise depend on the seed and the epoch alone."""
        assert problem.train is not None
        seed = int(problem.rng(epoch).integers(2**31))
        device = next(supernet.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        steps = -(-len(problem.train) // self.batch)
        for step, (images, labels) in enumerate(problem.train.batches(self.batch, seed=seed, device=device)):
            moment = Moment((epoch + step / steps) / problem.trials, generator)
            gates = self.gates(problem, parameters, moment)
            logits = supernet.relaxed(images, gates, where=self.where)
            loss = cross_entropy(logits, labels) + self.penalty(problem, parameters, gates, moment)
            if not bool(torch.isfinite(loss)):
                raise TrainingError(
                    f"{problem.strategy}: the loss is {loss.item()} in epoch {epoch + 1}, step {step + 1}; lower its lr"
                )
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()


def nested_gates(space: SearchSpace, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Axis -> gate per unit, from one weight per value of some choices (choice -> values).

    A unit's gate is the sum of the weights of those values that keep it. Sub-networks share their first units, so
    this one pass equals the weighted sum over all values (DAN's output mixing).
    """
    gates: dict[str, Tensor] = {}
    for name, weight in weights.items():
        for axis in space[name].sizes[0]:
            sizes = torch.tensor([size[axis] for size in space[name].sizes], device=weight.device)
            units = torch.arange(space.outline.axes[axis], device=weight.device)
            gates[axis] = weight @ (units < sizes[:, None]).to(weight)
    return gates
