"""What every rule for training a supernet shares. Three things are chosen, each free of the others: who is trained (the
sampling, and how far ranges are open), what it learns from (the rule itself), and how what several want is joined (the
gradients).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from nas import seeds
from nas.documents.plugged import checked, plugin_of, spelt
from nas.numbers import Share, Unit, whole
from nas.tasks import Batch
from nas.training.projection import projected
from nas.training.sampling import SAMPLING, Domain, Draw, SubnetSampling
from nas.training.step import StepContext

if TYPE_CHECKING:
    from nas.searchspaces import Architecture, Limit, SearchSpace
    from nas.supernets import Cost


@final
@dataclass(frozen=True)
class Subnets:
    """The sub-networks that may run in a step: the ends of the ranges that are open, and the random ones that were
    drawn for it.
    """

    largest: Architecture
    smallest: Architecture
    random: Sequence[Architecture]


@dataclass(frozen=True, kw_only=True)
class SupernetRule(ABC):
    """Subclass as a frozen dataclass; its fields are the options in YAML. All rules have these:

    random      random sub-networks per step
    sampling    how the random ones are drawn: a name (uniform, fair, sized), or a mapping with `use:` and its options,
                see `nas.training.sampling`
    opening     share of the training in which the ranges of the choices open, value by value, from the two largest to
                all (progressive shrinking); 0: all are open from the start
    gradients   how the gradients of several sub-networks are joined: summed, or each first without what conflicts
                with another one (projected, see `nas.training.projection`)
    """

    random: Annotated[int, whole(1, 1000), Unit("sub-networks")] = 1
    sampling: Annotated[
        Annotated[str, Field(min_length=1)] | Mapping[str, Any],
        SAMPLING,
        AfterValidator(lambda options: checked(options, SAMPLING)),
    ] = "uniform"
    opening: Share = 0.0
    gradients: Literal["summed", "projected"] = "summed"

    def __post_init__(self) -> None:
        """Writes the sampling in one way: by its name where it has no options."""
        sampling = spelt(self.sampling, SAMPLING)
        object.__setattr__(self, "sampling", sampling["use"] if len(sampling) == 1 else sampling)
        if self.gradients == "projected" and self.parts < 2:
            raise ValueError("gradients: projected only where a step's loss has several parts, which may conflict")

    @property
    @abstractmethod
    def parts(self) -> int:
        """How many parts `losses` yields per batch."""

    @abstractmethod
    def losses(self, batch: Batch, subnets: Subnets, context: StepContext) -> Iterator[Tensor]:
        """Yields the loss in parts, as `Step` does; `context.outputs(batch, architecture)` runs a sub-network."""

    @property
    def compares(self) -> bool:
        """Whether it compares outputs of two networks: then the task must have a divergence."""
        return False

    @property
    def bounded(self) -> bool:
        """Whether what is drawn keeps to a limit."""
        return self.sampler.bounded

    @property
    def sampler(self) -> SubnetSampling:
        """How the random sub-networks are drawn."""
        return plugin_of(self.sampling, SAMPLING)

    @final
    def step(self, space: SearchSpace, limit: Limit | None = None, cost: Cost | None = None) -> SupernetStep:
        """This rule as a step for `fit`. Random architectures are within `limit` if there is one; sampling by size
        asks for their `cost`.
        """
        return SupernetStep(self, Domain(space, limit, cost))


@final
class SupernetStep:
    """A rule bound to what may be drawn. The architectures of a step follow from (seed, epoch, step) alone, so that
    they are the same on all ranks, and after an interruption.
    """

    def __init__(self, rule: SupernetRule, domain: Domain) -> None:
        self.rule, self.domain = rule, domain
        self._draw: Draw | None = None  # made when first asked for: on whatever machine trains
        self._drawn: tuple[tuple[int, int, int], NDArray[np.int64]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, which make anew what draws."""
        return {**self.__dict__, "_draw": None}

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        """Yields the parts of the loss, as `Step` does."""
        parts = self.rule.losses(batch, self.subnets(context), context)
        if self.rule.gradients == "summed":
            yield from parts
            return
        seed = seeds.derive(context.seed, seeds.CONFLICTS, context.epoch, context.step)
        yield projected(parts, context.module, np.random.default_rng(seed))

    def subnets(self, context: StepContext) -> Subnets:
        """Who may run in this step."""
        space, rows, least = self.domain.space, self._rows(context), self._least(context.progress)
        if least is None:
            return Subnets(space.largest, space.smallest, space.from_table(rows))
        # What is too small yet is moved up to the end of the range: in the end all are as they were drawn.
        smallest, *random = space.from_table(space.canonical(np.maximum(np.vstack([least, rows]), least)))
        return Subnets(space.largest, smallest, random)

    def _rows(self, context: StepContext) -> NDArray[np.int64]:
        """The random architectures of this step. One table is drawn per epoch: drawing row by row would cost more than
        a small step.
        """
        key = (context.seed, context.epoch, context.steps)
        if self._drawn is None or self._drawn[0] != key:
            rng = np.random.default_rng(seeds.derive(context.seed, seeds.SAMPLING, context.epoch))
            self._draw = self._draw or self.rule.sampler.drawer(self.domain)
            self._drawn = key, self._draw(rng, context.steps * self.rule.random)
        first = context.step * self.rule.random  # this step's rows of the epoch's table
        return self._drawn[1][first : first + self.rule.random]

    def _least(self, progress: float) -> NDArray[np.int64] | None:
        """For each choice the index of the least value that is open; None where all are.

        A choice of n values has its two largest at first, and n - 1 equal times until all are open.
        """
        if progress >= self.rule.opening:
            return None
        most = np.array(self.domain.space.n_values, np.int64) - 1
        opened = np.floor(progress / self.rule.opening * most).astype(np.int64)
        least: NDArray[np.int64] = np.maximum(most - 1 - opened, 0)
        return least
