"""Search: what a strategy is asked, sees and leaves behind; the halves that strategies are made of; their registry."""

from nas.search.problem import Objective, Problem
from nas.search.ranking import winner
from nas.search.registry import find, installed, name_of, names
from nas.search.search import Search
from nas.search.strategy import AskTell, Proposer, Strategy
from nas.search.trial import Outcome, Trial

__all__ = [
    "AskTell",
    "Objective",
    "Outcome",
    "Problem",
    "Proposer",
    "Search",
    "Strategy",
    "Trial",
    "find",
    "installed",
    "name_of",
    "names",
    "winner",
]
