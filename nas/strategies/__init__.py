"""Strategies, one file each: what a study names in `use:` is the file's name. `find` gives the class, `names` all there
are.
"""

from __future__ import annotations

from contextlib import suppress

from nas import plugins
from nas.errors import StrategyError
from nas.strategies.base import AskTell, Strategy
from nas.strategies.problem import Objective, Problem, Trial, winner

NOT_PLUGINS = (
    "adopting",
    "base",
    "dispatch",
    "feasible",
    "nested",
    "optuna_samplers",
    "optuna_storage",
    "optuna_study",
    "problem",
    "ranking",
    "ray_controller",
    "relaxed",
    "searcher",
    "sizing",
    "slimming",
)

__all__ = ["AskTell", "Objective", "Problem", "Strategy", "Trial", "find", "installed", "names", "winner"]


def names() -> list[str]:
    """Names of all strategies: files of this folder, and entry points of the group "nas.strategies"."""
    return plugins.names(__name__)


def installed() -> dict[str, type[Strategy]]:
    """All strategies by name, but those that need a package which is not installed."""
    found = {}
    for name in names():
        with suppress(StrategyError):
            found[name] = find(name)
    return found


def find(name: str) -> type[Strategy]:
    """The strategy called `name`. Raises `StrategyError` when there is none, or when a package that it needs is not
    installed.
    """
    # mypy: an abstract base is what plug-ins are checked against, not what is made
    return plugins.find(__name__, name, Strategy, StrategyError)  # type: ignore[type-abstract]
