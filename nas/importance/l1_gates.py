"""L1 gates: one trained factor per unit, pushed towards 0; what stays large matters.

SiDT (Xue et al., Searching Intrinsic Dimensions of Vision Transformers, 2022) gates head dimensions, one vector shared
by queries, keys, values and heads, and hidden units before the activation: `where: produced`. VTP (arXiv 2104.08500)
gates the inputs of linear layers: `where: consumed`. The code that SiDT cites has one gate for each dimension of each
head: `attention: channel`; what it keeps it deals out to heads anew, by position. Ours keeps heads as they are: each
loses as many dimensions, its own least ones. The penalty is part of the loss under AdamW, so its gradient,
gamma x sign, passes through Adam's normaliser as in the code that SiDT cites. Ours differs from that code: the softmax
keeps its scale, and signed gates are folded into the weights, so that nothing learned is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from nas.axes import AxisTable
from nas.documents.conditions import Is, ReadWith
from nas.errors import StrategyError
from nas.importance._base import Importance, Scored
from nas.numbers import Rate, Weight
from nas.searchspaces import SearchSpace
from nas.searchspaces.axis_names import DEPTH, HEAD_DIM, HEADS, axis_name, dimension, index, is_bits
from nas.supernets import Supernet
from nas.supernets.gates import gate_refusal
from nas.supernets.of_space import table_of
from nas.supernets.slicing import Where
from nas.tasks import Batch
from nas.training import Recipe, StepContext
from nas.training.objectives.relaxation import Relaxation, relax
from nas.training.workplace import Workplace

Attention = Literal["head_dim", "channel"]
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
    attention  what has a gate where head dimensions are chosen: a dimension of all heads together (head_dim, the
               paper), or of each head (channel, the code that it cites). Then the dimensions of each head are sorted by
               their gates, and the k-th ones of all heads have the mean of these as score
    """

    training: Recipe = RECIPE
    gate_lr: Rate = 1e-2
    gamma: Weight = 1e-4
    where: Where = "produced"
    attention: Annotated[Attention, ReadWith(Is("where", "produced"))] = "head_dim"

    @property
    @override
    def trains(self) -> bool:
        return True

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        """Trains the supernet in place and folds the gates into it.

        Raises `StrategyError` when no axis that the space chooses has an exact gate there, `TrainingError` when a loss
        is not a number.
        """
        frame = supernet.table.frame
        names = {axis: self._gate(axis) for axis in self._axes(supernet.space, supernet.table)}
        ones = {gate: torch.ones(frame.full(gate)) for gate in names.values()}
        relaxation = Relaxation(supernet, ones, self.gate_lr / self.training.peak_lr)
        history = relax(relaxation, L1Step(self, relaxation), work, self.training, _trajectory)
        # Signs go into the weights, so that nothing learned is lost; sizes are the scores.
        gates = {axis: value.detach() for axis, value in relaxation.arch_parameters.items()}
        supernet.fold(gates, self.where)
        scores = {axis: gates[gate].abs() for axis, gate in names.items()}
        each = {gate: scores[axis] for axis, gate in names.items() if gate != axis}
        supernet.sort_within(each)
        for axis, gate in names.items():
            if gate in each:
                heads = each[gate].reshape(-1, frame.axes[axis])
                scores[axis] = heads.sort(dim=1, descending=True).values.mean(0)
        return Scored(scores, history)

    @override
    def check(self, space: SearchSpace) -> None:
        self._axes(space, table_of(space))
        if self.attention == "channel" and HEAD_DIM not in set(map(dimension, space.axes)):
            raise StrategyError(
                "l1_gates: attention: channel, and the space chooses no head_dim; allowed: attention: head_dim, or a "
                "choice such as head_dim: {size: [0.5, 1.0]}"
            )

    def _gate(self, axis: str) -> str:
        """What has the gates of an axis: it alone, or head dimensions packed with the heads that they lie in."""
        if self.attention == "channel" and dimension(axis) == HEAD_DIM:
            return f"{axis_name(HEADS, index(axis))} {axis}"
        return axis

    def _axes(self, space: SearchSpace, table: AxisTable) -> list[str]:
        """The axes that the space chooses and that have an exact gate `where` this criterion puts it. Raises
        `StrategyError` when there is none. Depth and bits are left out: their units have no order.
        """
        chosen = [axis for axis in space.outline.axes if axis in space.axes]
        ordered = [axis for axis in chosen if dimension(axis) != DEPTH and not is_bits(dimension(axis))]
        gated = [axis for axis in ordered if not gate_refusal(self._gate(axis), table, self.where)]
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
        inputs = context.task.learning_inputs(batch)
        outputs = self.relaxation.supernet.relaxed(inputs, gates, self.options.where)
        # The gradient of |gate| is its sign: gamma pulls every gate alike, however large, and what a unit does for the
        # loss pulls back.
        size = torch.stack([gate.abs().sum() for gate in gates.values()]).sum()
        yield context.criterion(outputs, batch.targets) + self.options.gamma * size


def _trajectory(gates: Mapping[str, Tensor]) -> Mapping[str, float]:
    return {name.split()[-1]: float(gate.abs().mean()) for name, gate in gates.items()}
