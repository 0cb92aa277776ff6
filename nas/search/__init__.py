"""Search: what a strategy sees and leaves behind, the halves that strategies are made of, and how they are found."""

from nas.search.problem import Objective, Outcome, Problem, Trial, winner
from nas.search.registry import find, installed, name_of, names
from nas.search.strategy import AskTell, Proposer, Strategy

__all__ = [
    "AskTell",
    "Objective",
    "Outcome",
    "Problem",
    "Proposer",
    "Strategy",
    "Trial",
    "find",
    "installed",
    "name_of",
    "names",
    "winner",
]
