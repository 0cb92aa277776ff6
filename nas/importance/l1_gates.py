"""L1 gates: one trained factor per unit, pushed towards 0; what stays large matters.

SiDT (Xue et al., Searching Intrinsic Dimensions of Vision Transformers, 2022) gates head dimensions, one vector shared
by queries, keys, values and heads, and hidden units before the activation: `where: produced`. VTP (arXiv 2104.08500)
gates the inputs of linear layers: `where: consumed`. The penalty is part of the loss under AdamW, so its gradient,
gamma x sign, passes through Adam's normaliser as in the code that SiDT cites. Ours differs from that code: the softmax
keeps its scale, and signed gates are folded into the weights, so that nothing learned is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from nas.axes import AxisTable
from nas.errors import StrategyError
from nas.importance._base import Importance, Scored
from nas.numbers import Rate, Weight
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, dimension
from nas.supernets import Supernet
from nas.supernets.gates import gate_refusal
from nas.supernets.of_space import table_of
from nas.supernets.slicing import Where
from nas.tasks import Batch
from nas.training import Recipe, StepContext
from nas.training.objectives.relaxation import Relaxation, relax
from nas.training.workplace import Workplace

RECIPE = Recipe(epochs=10, lr=1e-3, warmup=1)


@final
@dataclass(frozen=True, kw_only=True)
class L1Gates(Importance):
    """|gate| of each unit, trained with the weights under criterion + gamma sum |gate|; gates start at 1.

    training   of weights and gates together
    gate_lr    learning rate of the gates
    gamma      weight of the penalty
    where      "produced": before the activation, and on queries, keys and values (SiDT); "consumed": on what a linear
               layer reads (VTP)
    """

    training: Recipe = RECIPE
    gate_lr: Rate = 1e-2
    gamma: Weight = 1e-4
    where: Where = "produced"

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """Trains the supernet in place and folds the gates into it.

        Raises `StrategyError` when no axis that the space chooses has an exact gate there, `TrainingError` when a loss
        is not a number.
        """
        ones = {a: torch.ones(supernet.table.frame.axes[a]) for a in self._axes(supernet.space, supernet.table)}
        relaxation = Relaxation(supernet, ones, self.gate_lr / self.training.peak_lr)
        history = relax(relaxation, L1Step(self, relaxation), work, self.training, _trajectory)
        # Signs go into the weights, so that nothing learned is lost; sizes are the scores.
        gates = {axis: value.detach() for axis, value in relaxation.arch_parameters.items()}
        supernet.fold(gates, self.where)
        return Scored({axis: value.abs() for axis, value in gates.items()}, history)

    @override
    def check(self, space: SearchSpace) -> None:
        self._axes(space, table_of(space))

    def _axes(self, space: SearchSpace, table: AxisTable) -> list[str]:
        """The axes that the space chooses and that have an exact gate `where` this criterion puts it. Raises
        `StrategyError` when there is none. Depth is left out: a block is one unit, which has no order.
        """
        chosen = [axis for axis in space.outline.axes if axis in space.axes]
        gated = [axis for axis in chosen if dimension(axis) != DEPTH and not gate_refusal(axis, table, self.where)]
        if not gated:
            dimensions = ", ".join(sorted(set(map(dimension, space.axes))))
            fits = "heads, head_dim, mlp" if self.where == "produced" else "heads, mlp and inputs of layers"
            raise StrategyError(
                f"l1_gates: the space chooses {dimensions}, none of which has a gate where it is {self.where}; {fits} "
                "do: take another space, or another `where`"
            )
        return gated


@final
class L1Step:
    """The task's criterion for the gated model, and the gates' penalty."""

    def __init__(self, options: L1Gates, relaxation: Relaxation) -> None:
        self.options, self.relaxation = options, relaxation

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss."""
        gates = self.relaxation.arch_parameters
        outputs = self.relaxation.supernet.relaxed(batch.inputs, gates, self.options.where)
        # The gradient of |gate| is its sign: gamma pulls every gate alike, however large, and what a unit does for the
        # loss pulls back.
        size = torch.stack([gate.abs().sum() for gate in gates.values()]).sum()
        yield context.criterion(outputs, batch.targets) + self.options.gamma * size


def _trajectory(gates: Mapping[str, Tensor]) -> Mapping[str, float]:
    return {axis: float(gate.abs().mean()) for axis, gate in gates.items()}
