"""Data-parallel training: ranks are processes that train one module together, on the same batches.

Every rank holds the whole module and walks the same batches. It runs its part of each, weighted by the part's share, so
that the sum of all ranks' gradients is the gradient of the whole batch; one all-reduce per optimiser step makes that
sum, and what follows (clipping, AdamW, the average) is the same on all ranks.

torch's DistributedDataParallel reduces from hooks of a backward pass through its own forward. Neither fits here: a step
has several backward passes (its parts, accumulated batches), and sub-networks run on slices of the parameters, other
ones in each step, by `functional_call` instead of a wrapper's forward.
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
    """This process is number `rank` (from 0) of `size` ranks, members of torch's default process group; by default it
    is alone, and nothing here does anything.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """This process's place in the process group that it joined."""
        return cls(distributed.get_rank(), distributed.get_world_size())

    def part(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
        """This rank's part of a batch, and which share of the batch that is; of a small batch it may be empty."""
        n = len(images)
        first, last = n * self.rank // self.size, n * (self.rank + 1) // self.size
        return images[first:last], targets[first:last], (last - first) / n

    def summed(self, module: nn.Module, losses: Sequence[float]) -> list[float]:
        """Sums gradients over all ranks, in place, and returns the sums of `losses`, all in one message.

        A parameter that no rank has a gradient for keeps none: AdamW then leaves it alone, as it does on one worker.
        """
        if self.size == 1:
            return list(losses)
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        like = parameters[0]
        used = [parameter.grad is not None for parameter in parameters]
        pieces = [like.new_tensor(losses), like.new_tensor(used)]
        pieces += [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters]
        message = torch.cat(pieces)
        with _reached():
            distributed.all_reduce(message)
        told, users, *gradients = torch.split(message, [len(piece) for piece in pieces])
        for parameter, gradient, n in zip(parameters, gradients, users.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if n else None
        return [float(loss) for loss in told.tolist()]

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
        found = [value]
        with _reached():
            distributed.broadcast_object_list(found, 0, device=torch.device("cpu"))
        return found[0]


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
