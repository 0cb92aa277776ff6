"""A block and the one after it: the first learns to leave the second as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from nas.searchspaces.architecture import Architecture
from nas.supernets import Supernet
from nas.tasks import Batch
from nas.training import StepContext

Error = Literal["relative", "mse", "sum"]


@final
@dataclass(frozen=True)
class BlockPair:
    """The step that a supernet is trained by. Inputs are those of the first block, and targets what the original block
    after it made of them.

    architecture   whose blocks these are
    first, after   paths of both blocks
    rows           of what the second block gives, those that are compared
    computed       the tokens that these are, of those that the original block gives
    measure        of the difference: see `Tolerance`
    """

    architecture: Architecture
    first: str
    after: str
    rows: list[int]
    computed: list[int]
    measure: Error

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the error."""
        assert isinstance(context.module, Supernet)
        yield self.error(self.blocks(context.module), batch)

    def blocks(self, supernet: Supernet) -> nn.Sequential:
        """Both blocks as the supernet's weights now make them."""
        small = supernet.subnet(self.architecture)
        return nn.Sequential(*(small.get_submodule(path) for path in (self.first, self.after)))

    def error(self, blocks: nn.Module, batch: Batch) -> Tensor:
        """On the tokens that the second block computes; mean over images."""
        assert isinstance(batch.targets, Tensor)
        outputs, wanted = blocks(batch.inputs)[:, self.rows], batch.targets[:, self.computed]
        squared = (outputs - wanted).square()
        error: Tensor = squared.mean((1, 2)) if self.measure == "mse" else squared.sum((1, 2))
        if self.measure == "relative":
            error = error / wanted.square().sum((1, 2))
        return error.mean()
