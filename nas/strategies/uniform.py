"""Uniform random search within the limit, without repeats: the baseline that belongs into every table of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.search.feasible import draw
from nas.search.search import Search
from nas.search.strategy import AskTell
from nas.searchspaces.architecture import Architecture


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(AskTell):
    """Each trial is drawn uniformly from the architectures within the limit that were not drawn before."""

    guided = False

    @override
    def ask(self, search: Search, number: int) -> Architecture:
        return draw(search, search.problem.rng(number))
