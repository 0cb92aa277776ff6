"""Proposals that fit by construction: draw unseen architectures within the limit, and move one that does not fit to the
nearest that does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from nas.search.problem import Problem
from nas.search.search import Search
from nas.search.trial import Trial
from nas.searchspaces.architecture import Architecture

T = TypeVar("T")
DRAWS = 32
"""Architectures drawn at once; the first unseen one is taken. With half of all feasible ones seen, one ask in 4e9 finds
none.
"""
TRIES = 8
"""Mutations of a proposal at most until one is new. The last is taken anyway; it costs a trial, but no measurement."""


def draw(search: Search, rng: np.random.Generator) -> Architecture:
    """An architecture drawn uniformly from those within the limit that the history lacks (from all, when `DRAWS` draws
    are all in it).
    """
    problem = search.problem
    drawn = problem.space.from_table(problem.space.sample_table(rng, DRAWS, problem.limit))
    return next((architecture for architecture in drawn if not search.seen(architecture)), drawn[0])


def made_feasible(
    problem: Problem, proposal: Architecture | np.ndarray, rng: np.random.Generator, toward: Architecture | None = None
) -> Architecture:
    """The canonical architecture within the limit that is nearest to `proposal` (or to its row of indices) in steps
    (L1).

    There are many nearest ones. Of these, the one nearest to `toward` (a good one, that fits) is taken, and what
    still ties is drawn at random: `space.nearest`, whose rule for ties is fixed, would always shrink the same
    choices.
    """
    space = problem.space
    row = space.to_table([proposal])[0] if isinstance(proposal, Architecture) else proposal
    canonical = space.from_table(space.canonical(row[None, :]))[0]
    if problem.allows(canonical):
        return canonical
    assert problem.limit is not None
    # The lattice finds the architecture within the limit with the greatest sum of scores, one score for each value of
    # each choice. Three parts of a score decide one after the other, since all that a later part can add up to, over
    # all choices, is less than one unit of the part before:
    #   1 for each step from the proposal: the fewest steps in sum win;
    #   `lean` for each step from the good one. It is at most `steps` steps away: 0.5 in sum;
    #   `noise` times a random number below 1 for each choice: at most 0.2 / steps in sum, less than one `lean`.
    good = row if toward is None else space.to_table([toward])[0]
    steps = sum(len(choice.values) - 1 for choice in space.values())
    lean, noise = 0.5 / steps, 0.2 / steps / len(space)
    scores = []
    for choice, proposed, wanted in zip(space.values(), row, good, strict=True):
        values = np.arange(len(choice.values))
        scores.append(noise * rng.random(len(values)) - np.abs(values - proposed) - lean * np.abs(values - wanted))
    return space.from_table(problem.limit.lattice.best(scores)[None, :])[0]


def near(search: Search, row: np.ndarray, rng: np.random.Generator, toward: Architecture | None = None) -> Architecture:
    """The proposal (a row of indices) of a searcher that is told neither the limit nor to repeat nothing, made to fit;
    when it was seen before, one of its mutations.
    """
    problem = search.problem
    proposal = made_feasible(problem, row, rng, toward)
    if not search.seen(proposal):
        return proposal
    rate = 1 / len(problem.space)
    return first_unseen(
        search, lambda: made_feasible(problem, problem.space.mutate(proposal, rng, rate), rng, toward), TRIES
    )


def leader(ranked: Sequence[Trial], rng: np.random.Generator) -> Architecture | None:
    """One of the best quarter of the trials, which are all done and the best first; None while there is none.

    A searcher that is not told the limit proposes what is too large, the more so the better it learns. So where its
    proposals are moved to decides the search, and they are moved toward such a one.
    """
    return ranked[int(rng.integers(1 + len(ranked) // 4))].architecture if ranked else None


def first_unseen(search: Search, propose: Callable[[], Architecture], tries: int) -> Architecture:
    """The first of at most `tries` proposals that the history lacks; the last one when it has them all."""
    for _ in range(tries):
        proposal = propose()
        if not search.seen(proposal):
            break
    return proposal


def tournament(ranked: Sequence[T], size: int, rng: np.random.Generator) -> T:
    """The best of `size` distinct candidates drawn at random; `ranked` holds all candidates, best first."""
    ranks = rng.choice(len(ranked), size=min(size, len(ranked)), replace=False)
    return ranked[int(ranks.min())]
