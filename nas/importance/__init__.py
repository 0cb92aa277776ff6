"""Importance criteria, one file each: which units of an axis go last. A study names one in `importance:`; `find` gives
the class.
"""

from __future__ import annotations

from nas import plugins
from nas.errors import StrategyError
from nas.importance._anew import Anew
from nas.importance._base import Importance, Scored
from nas.importance._units import per_unit

__all__ = ["Anew", "Importance", "Scored", "find", "names", "per_unit"]


def names() -> list[str]:
    """Names of all criteria: files of this folder, and entry points of the group "nas.importance"."""
    return plugins.names(__name__)


def find(name: str) -> type[Importance]:
    """The criterion called `name`. Raises `StrategyError` when there is none."""
    # mypy: an abstract base is what plug-ins are checked against, not what is made
    return plugins.find(__name__, name, Importance, StrategyError)  # type: ignore[type-abstract]
