"""Uniform random search within the limit, without repeats: the baseline that belongs into every table of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.searchspaces.architecture import Architecture
from nas.strategies.base import AskTell
from nas.strategies.feasible import draw
from nas.strategies.problem import Problem


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(AskTell):
    """Each trial is drawn uniformly from the architectures within the limit that were not drawn before."""

    guided = False

    def ask(self, problem: Problem, number: int) -> Architecture:
        """See `AskTell.ask`."""
        return draw(problem, problem.rng(number))
