"""Retraining that cuts one block after another, from the last to the first, one per epoch, and trains what is left
meanwhile (the schedule of MCF, Bai et al., Multi-dimension compression of feed-forward networks): the epochs after that
recover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import index, is_position, position
from nas.supernets import Supernet
from nas.training.objectives.separate_norms import SeparateNorms

Scorer = Callable[[Supernet], Mapping[str, Tensor]]
"""Axis -> one score per unit of a supernet, as its weights now are; it leaves the supernet as it is."""


@final
class Gradual(nn.Module):
    """Stands for one network, `small`, of a supernet: while blocks are cut, it runs what is left of the whole network.

    With a `scorer`, the units of a block are put in order anew before it is cut, by their scores in the network of that
    moment. Its units do not move meanwhile, since the optimiser's memory of them would not move along: which ones stay
    is remembered in buffers, and `extract` sorts them in the end.
    """

    def __init__(self, holder: Supernet | SeparateNorms, small: Architecture, scorer: Scorer | None = None) -> None:
        super().__init__()
        self.holder, self.small, self.scorer = holder, small, scorer
        self.supernet = holder if isinstance(holder, Supernet) else holder.supernet
        self.stages = stages(self.supernet.space, small)
        self.now = self.stages[0]
        self._turns = _turns(self.supernet.space, self.stages) if scorer else ()
        for axis in self._ordered:
            known = self.supernet.selection.state().get(axis, range(self.supernet.table.frame.axes[axis]))
            self.register_buffer(_buffer(axis), torch.tensor(list(known)))

    def begin(self, epoch: int) -> None:
        """See `nas.training.phased.Phased`. Cuts the block whose turn it is."""
        self.now = self.stages[min(epoch, len(self.stages) - 1)]
        if self.scorer is not None and epoch < len(self._turns) and self._turns[epoch]:
            scores = self.scorer(self.supernet)
            for axis in (axis for axis in self._turns[epoch] if axis in scores and axis in self._ordered):
                self.get_buffer(_buffer(axis)).copy_(self.supernet.order(axis, scores[axis]))
        self.refresh()

    def forward(self, x: Tensor, architecture: Architecture | None = None) -> Tensor:
        """Outputs of one sub-network for images x (batch x channels x height x width); of what stands for `small`, when
        it is the one, or none is named.
        """
        wanted = self.now if architecture in (None, self.small) else architecture
        outputs: Tensor = self.holder.subnet(wanted)(x)
        return outputs

    def subnet(self, architecture: Architecture) -> nn.Module:
        """See `Supernet.subnet`: the architecture itself, whatever stands for it now."""
        return self.holder.subnet(architecture)

    def extract(self, architecture: Architecture) -> nn.Module:
        """See `Supernet.extract`. Afterwards the supernet's units stand in the order in which they were cut."""
        self._settle()
        return self.holder.extract(architecture)

    def refresh(self) -> None:
        """See `Supernet.refresh`. The buffers may come from a checkpoint, another rank or an average: they decide."""
        self.supernet.selection.update({axis: self.get_buffer(_buffer(axis)) for axis in self._ordered})
        self.holder.refresh()

    @property
    def _ordered(self) -> list[str]:
        """The axes that may be put in order anew. Tokens are none: they nest from block to block."""
        axes = (axis for axes in self._turns for axis in axes)
        return [axis for axis in axes if self.supernet.orders(axis) and not is_position(axis)]

    @torch.no_grad()
    def _settle(self) -> None:
        """Sort the units whose order the weights can hold, and forget it: saved models know no other order."""
        sizes = self.supernet.space.sizes(self.small)
        for axis in self._ordered:
            if not self.supernet.selection.selects(axis):
                order = self.get_buffer(_buffer(axis))
                # Those that stay come first, in the order in which they stood: the network computes the same bits.
                staying = order[: sizes[axis]].sort().values
                first = torch.zeros(len(order), device=order.device).index_fill(0, staying, 1.0)
                self.supernet.selection.forget(axis)
                self.supernet.reorder({axis: first})
                order.copy_(torch.arange(len(order), device=order.device))


Holder = Supernet | SeparateNorms | Gradual
"""Modules that hold the network that is retrained, among others."""


def stages(space: SearchSpace, small: Architecture) -> tuple[Architecture, ...]:
    """The architectures of the epochs, as many as there are blocks; the last one is `small`.

    A choice takes its value when the first of its blocks has its turn; what lies in no block is cut at once.
    """
    # The first block of each choice, () where it lies in no block. The deepest of these blocks has the first turn.
    firsts = {
        name: min((position(index(axis)) for axis in choice.axes if index(axis)), default=())
        for name, choice in space.items()
    }
    turns = sorted({first for first in firsts.values() if first}, reverse=True)
    target, whole = space.to_table([small])[0], space.to_table([space.largest])[0]
    # Row n is the architecture of epoch n: each choice is whole until its turn, and stays cut after it.
    rows = whole[None].repeat(max(1, len(turns)), axis=0)
    for column, first in enumerate(firsts.values()):
        rows[turns.index(first) if first else 0 :, column] = target[column]
    return tuple(space.from_table(space.canonical(rows)))


def _turns(space: SearchSpace, epochs: tuple[Architecture, ...]) -> tuple[tuple[str, ...], ...]:
    """For each epoch the axes that shrink in it."""
    before = (space.largest, *epochs[:-1])
    return tuple(
        tuple(axis for name, choice in space.items() if now[name] != then[name] for axis in choice.axes)
        for then, now in zip(before, epochs, strict=True)
    )


def _buffer(axis: str) -> str:
    """Names of buffers have no dots."""
    return f"order_{axis.replace('.', '_')}"
