"""Strategies by name: what a study names in `use:` is a file or a package in `nas/strategies`, or an entry point of
that group.
"""

from __future__ import annotations

from contextlib import suppress

from nas import plugins
from nas.errors import StrategyError
from nas.search.strategy import Strategy

FOLDER = "nas.strategies"


def names() -> list[str]:
    """Names of all strategies."""
    return plugins.names(FOLDER)


def find(name: str) -> type[Strategy]:
    """The strategy called `name`. Raises `StrategyError` when there is none, or when a package that it needs is not
    installed.
    """
    # mypy: an abstract base is what plug-ins are checked against, not what is made
    return plugins.find(FOLDER, name, Strategy, StrategyError)  # type: ignore[type-abstract]


def name_of(kind: type[Strategy]) -> str:
    """What a study calls a strategy: the file or the package that it is in; see `nas.plugins.name_of` for others."""
    return plugins.name_of(FOLDER, kind, StrategyError)


def installed() -> dict[str, type[Strategy]]:
    """All strategies by name, but those that need a package which is not installed."""
    kinds = {}
    for name in names():
        with suppress(StrategyError):
            kinds[name] = find(name)
    return kinds
