"""Regularised evolution (ageing, arXiv 1802.01548) whose children always fit the limit; and AutoFormer's elitist
variant (arXiv 2107.00651).

Ours differs from the paper: children may come from crossover; a child over the limit is moved to the nearest
architecture within it instead of being thrown away; a child seen before is bred again, a few times; with several
objectives, "best" means non-dominated rank, then crowding distance; trials that were given up after a part of the
images come after all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
from typing_extensions import override

from nas.documents.conditions import AtMost
from nas.numbers import Population, Share, Trials
from nas.search.feasible import draw, first_unseen, made_feasible, tournament
from nas.search.problem import Problem
from nas.search.ranking import furthest_first
from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture

TRIES = 8
"""Children bred at most until one is new. The last is taken anyway; it then costs a trial, but no measurement."""


@final
@dataclass(frozen=True, kw_only=True)
class Evolution(AskTell):
    """Breed children from good parents; the first `population` trials are drawn uniformly within the limit.

    `parents: young` takes the best of `sample` random ones among the youngest `population` trials (regularised
    evolution: the old die, however good they are, so that a lucky measurement does not rule for ever). `parents:
    elite` takes any of the `sample` best trials so far (AutoFormer). `crossover` is the share of children with two
    parents. `mutation` is the probability with which each choice is redrawn; by default one choice per child, on
    average. The best trials of earlier runs (`Problem.prior`), if there are any, are the first population; each of its
    own trials takes the place of the worst of them.
    """

    population: Population = 50
    sample: Annotated[Trials, AtMost("population")] = 10
    crossover: Share = 0.5
    mutation: Share | None = None
    parents: Literal["young", "elite"] = "young"

    examples = (
        {"trials": 150, "population": 20, "sample": 6},
        {"trials": 150, "population": 20, "sample": 6, "parents": "elite"},
    )

    @property
    @override
    def takes_prior(self) -> bool:
        return True

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        problem, rng = search.problem, search.problem.rng(number)
        pool = own = search.youngest(self.population, "done", "stopped")
        # Those of earlier runs, the worst first, stand before all of this one, as if they were older: they are the
        # first to die.
        if len(own) < self.population:
            pool = [*reversed(search.elders[: self.population - len(own)]), *own]
        if len(pool) < self.population:
            return draw(search, rng)
        if self.parents == "elite" and pool is own:
            return self._bred(search, search.standings, rng)
        return self._bred(search, [pool[index] for index in furthest_first(pool, problem.objectives)], rng)

    def _bred(self, search: Search, ranked: Sequence[Trial], rng: np.random.Generator) -> Architecture:
        """A child that is new, of parents among the candidates, which are best first."""
        return first_unseen(search, lambda: self._child(search.problem, ranked, rng), TRIES)

    def _child(self, problem: Problem, ranked: Sequence[Trial], rng: np.random.Generator) -> Architecture:
        """A mutated parent, or a mutated child of two; where it does not fit, it is moved toward the first parent."""
        space = problem.space
        rate = 1 / len(space) if self.mutation is None else self.mutation
        parent = child = self._parent(ranked, rng)
        if rng.random() < self.crossover:
            child = space.crossover(child, self._parent(ranked, rng), rng)
        return made_feasible(problem, space.mutate(child, rng, rate), rng, toward=parent)

    def _parent(self, ranked: Sequence[Trial], rng: np.random.Generator) -> Architecture:
        """One of the candidates."""
        if self.parents == "elite":
            return ranked[int(rng.integers(min(self.sample, len(ranked))))].architecture
        return tournament(ranked, self.sample, rng).architecture
