"""Batch norms whose statistics are those of the whole batch, whatever part of it a rank sees: timm's `sync_bn`.

torch's SyncBatchNorm is another class, for GPUs alone, and our families know a model by its classes. Here the function
that all batch norms call is answered, while a step computes, by one that sums over the ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from nas.data.parts import Part, rows_of
from nas.errors import TrainingError
from nas.training.ranks import Ranks


@final
@dataclass(frozen=True)
class BatchNorms:
    """How the batch norms of a training compute: `synchronised` over the ranks, or each by itself."""

    ranks: Ranks
    synchronised: bool

    @classmethod
    def of(cls, module: nn.Module, ranks: Ranks, sizes: Sequence[int], *, sync: bool) -> BatchNorms:
        """As a recipe says, for batches of these sizes. Raises `TrainingError` where nothing could be synchronised, or
        a rank would see none of a batch, and the others wait for it.
        """
        if sync and not any(isinstance(part, _BatchNorm) for part in module.modules()):
            raise TrainingError("sync_bn: found true for a model without batch norms; allowed: false")
        for size in sizes if sync else ():
            if not all(len(rows_of(size, Part(rank, ranks.size))) for rank in range(ranks.size)):
                raise TrainingError(
                    f"sync_bn: found true on {ranks.size} workers, with a batch of {size} images, of which some would "
                    "see none; allowed: another batch size, fewer workers, or false"
                )
        return cls(ranks, sync and ranks.size > 1)

    def __call__(self) -> AbstractContextManager[Any]:
        """For the forward pass, and for what the backward pass computes again."""
        return _Answering(self.ranks) if self.synchronised else nullcontext()

    def spoilt(self, loss: float) -> bool:
        """Whether a part of the loss is no number on any rank: then none may go on alone, as the others would wait."""
        return not math.isfinite(float(self.ranks.total(torch.tensor(loss))) if self.synchronised else loss)


@final
class _Answering(TorchFunctionMode):
    """While it lasts, batch norms compute as `_batch_norm` does."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is functional.batch_norm and options.get("training"):
            return _batch_norm(self._ranks, *args, **options)
        return func(*args, **options)


def _batch_norm(
    ranks: Ranks, x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, **options: Any
) -> Tensor:
    """What torch's gives in training, with the mean and the variance of all ranks' inputs (N x C x ...)."""
    numbers = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    along = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    count = numbers.new_full((1,), x.numel() / x.shape[1])
    sums: Tensor = _Summed.apply(torch.cat([numbers.sum(along), count]), ranks)
    n = sums[-1].detach()
    mean = sums[:-1] / n
    centred = numbers - mean.view(shape)
    variance: Tensor = _Summed.apply(centred.square().sum(along), ranks) / n
    with torch.no_grad():
        for running, now in ((running_mean, mean), (running_var, variance * n / (n - 1))):
            if running is not None:
                running.lerp_(now.to(running), options["momentum"])
    outputs = centred * (variance + options["eps"]).rsqrt().view(shape)
    if options.get("weight") is not None:
        outputs = outputs * options["weight"].view(shape)
    if options.get("bias") is not None:
        outputs = outputs + options["bias"].view(shape)
    normed: Tensor = outputs.to(x.dtype)
    return normed


@final
class _Summed(torch.autograd.Function):
    """The sum over all ranks. What it is used for is on all of them, and so its gradient is summed, too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.total(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.total(gradient), None
