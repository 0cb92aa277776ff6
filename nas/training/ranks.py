"""Data-parallel training: ranks are processes that train one module together, on the same batches.

Every rank holds the whole module. It reads and runs its part of each batch, weighted by the part's share, so that the
sum of all ranks' gradients is the gradient of the whole batch; one all-reduce per optimiser step makes that
sum, and what follows (clipping, AdamW, the average) is the same on all ranks.

torch's DistributedDataParallel reduces gradients from hooks of the backward pass that belongs to its own forward.
Neither fits here: a step has several backward passes (its parts, accumulated batches), and what runs forward is not the
trained module but sub-networks on slices of its parameters, other ones in each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, final

import torch
from torch import Tensor, distributed, nn

from nas.errors import TrainingError

T = TypeVar("T")


@final
class LostRankError(TrainingError):
    """Another rank is gone, so that this one cannot go on; the training can, from its last checkpoint."""


@final
@dataclass(frozen=True)
class Ranks:
    """This process is number `rank` (from 0) of `size` ranks, members of torch's default process group. By default it
    is alone, and no method does anything.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """This process's rank in the process group that it joined."""
        return cls(distributed.get_rank(), distributed.get_world_size())

    def summed(self, module: nn.Module, losses: Sequence[float]) -> list[float]:
        """Sums gradients over all ranks, in place, and returns the sums of `losses`, all in one message.

        A parameter that no rank has a gradient for keeps none: AdamW then leaves it alone, as it does on one worker.
        """
        if self.size == 1:
            return list(losses)
        # One flat message holds everything, so that a step waits for the network once: the losses, then for each
        # parameter whether this rank has a gradient for it, then the gradients, with zeros where there is none.
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        like = parameters[0]
        has_gradient = [parameter.grad is not None for parameter in parameters]
        pieces = [like.new_tensor(losses), like.new_tensor(has_gradient)]
        pieces += [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters]
        message = torch.cat(pieces)
        with _reached():
            distributed.all_reduce(message)
        # The sums come back in the same places; a flag is now the number of ranks that had a gradient.
        sums, owners, *gradients = torch.split(message, [len(piece) for piece in pieces])
        for parameter, gradient, n in zip(parameters, gradients, owners.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if n else None
        return [float(loss) for loss in sums.tolist()]

    def total(self, value: Tensor) -> Tensor:
        """The sum of all ranks' values, in a new tensor."""
        total = value.clone(memory_format=torch.contiguous_format)
        with _reached():
            distributed.all_reduce(total)
        return total

    def level(self, module: nn.Module) -> None:
        """Gives all ranks the first one's parameters and buffers: a buffer may follow from the part that a rank saw,
        and machines of different kinds drift apart in the last bits.
        """
        if self.size == 1:
            return
        for value in module.state_dict().values():
            whole = value.contiguous()
            with _reached():
                distributed.broadcast(whole, 0)
            value.copy_(whole)

    def shared(self, value: T) -> T:
        """The first rank's value, on all of them; it travels as a pickle."""
        if self.size == 1:
            return value
        values = [value]
        with _reached():
            distributed.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]


@contextmanager
def _reached() -> Iterator[None]:
    """What torch raises when a rank is gone, as ours."""
    try:
        yield
    except RuntimeError as fault:
        reason = str(fault).partition("\n")[0][:200]
        raise LostRankError(
            f"a process that trains together with this one is gone ({reason}); run again: the training goes on from "
            "its last checkpoint"
        ) from fault
