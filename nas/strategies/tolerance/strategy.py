"""Patch Slimming: from the last block to the first, the fewest tokens that leave the next block as it was (Tang et al.,
arXiv 2106.02852, algorithm 1).

A block starts with the tokens of the block after it, and grows by the most important others until the output of that
next block, on the tokens it computes, is within the tolerance; meanwhile the block alone is fine-tuned on cached
inputs. Earlier blocks are still whole then, so the inputs are those of the original model. Ours differs: the error is
relative by default, attention maps are those of the whole model with the blocks tuned so far, and a limit is met by
raising the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, final

from typing_extensions import override

from nas.errors import StrategyError
from nas.importance.patch_impact import PatchImpact
from nas.numbers import Count, Positive, Unit
from nas.search.adopting import Adopting, Learnt
from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.sizing import CriterionOptions, criterion_of
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import QUERIES, index
from nas.searchspaces.space import SearchSpace
from nas.strategies.tolerance.pair import Error
from nas.strategies.tolerance.slimming import Growth, Slimming, queries_per_block
from nas.strategies.tolerance.tuning import Tuning
from nas.supernets import Supernet
from nas.training.checkpoint import TrainingIdentity

TUNING = Tuning()
STEEPER = 1.5
"""By how much the tolerance rises while the limit is not met."""
LEAST = 0.002
"""Where it starts, if nobody says."""


@final
@dataclass(frozen=True, kw_only=True)
class Tolerance(Adopting):
    """Chooses the queries of every block; all other choices stay at their largest value.

    tolerance    greatest error of the next block (the paper's: 0.01 or 0.02); where the study has a limit, the least of
                 this times 1, 1.5, 2.25 ... that meets it. Left out, it starts at 0.002, so that little more is cut
                 than the limit asks
    grow         tokens that a block gains at a time
    error        of the next block's output: squared, over the squared original (relative), per element (mse), or per
                 image (sum)
    training     of one block, after each growth: see `Tuning`
    importance   patch_impact, and its options
    """

    tolerance: Positive | None = None
    grow: Annotated[Count, Unit("tokens")] = 10
    error: Error = "relative"
    training: Tuning = TUNING
    importance: CriterionOptions = "patch_impact"

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"grow": 4, "training": Tuning(batch=16), "importance": {"use": "patch_impact", "images": 32}},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for a space without a choice of queries per block, or a limit that none meets."""
        chosen, outline = queries_per_block(problem.space), problem.space.outline
        impact = criterion_of(self.importance)
        if not isinstance(impact, PatchImpact):
            raise StrategyError(f"{problem.strategy}: found importance {self.importance!r}; allowed: patch_impact")
        if not chosen or set(chosen) != {index(axis) for axis in outline.dimensions.get(QUERIES, ())}:
            windowed = "; windowed models, such as Swin, have none: a window needs all of its positions"
            raise StrategyError(
                f"{problem.strategy}: the space chooses no queries per block, such as queries: {{keep: {{from: 1, "
                f"to: 197, step: 4}}, drop: true}}{'' if QUERIES in outline.dimensions else windowed}"
            )
        impact.check(problem.space)
        if problem.limit is None and self.tolerance is None:
            raise StrategyError(f"{problem.strategy}: give a tolerance, such as 0.02, or the study a limit on MACs")
        if problem.limit is not None and not problem.limit.allows(_fewest(problem.space)):
            raise StrategyError(
                f"{problem.strategy}: the fewest tokens everywhere do not meet the limit ({problem.limit.describe()}), "
                "and all other choices stay whole: raise the limit, or give the choice smaller values"
            )

    @override
    def learn(self, search: Search, supernet: Supernet) -> Learnt:
        problem, work, impact = search.problem, search.work, criterion_of(self.importance)
        assert work is not None
        assert isinstance(impact, PatchImpact)
        slimming = Slimming(Growth(self.grow, self.error, self.training, impact), supernet, work)
        # Whoever trains, it is the same search: a killed one goes on with another number of workers.
        identity = TrainingIdentity({"seed": problem.seed, "data": work.data.name}, replace(self, workers=1))
        if work.runtime.checkpoint:
            slimming.resume(work.runtime.checkpoint, identity)
        # `check` saw that the fewest tokens meet the limit, and at some tolerance they are within it: this ends.
        while True:
            tolerance = (self.tolerance or LEAST) * STEEPER ** int(slimming.attempt)
            architecture = slimming.run(tolerance, identity)
            if problem.allows(architecture):
                return Learnt(architecture, notes={"tolerance": tolerance, **slimming.notes()})
            slimming.again()


def _fewest(space: SearchSpace) -> Architecture:
    """The largest architecture, but with the fewest queries."""
    fewest = {choice.name: choice.values[0] for choice in queries_per_block(space).values()}
    return Architecture({**space.largest, **fewest})
