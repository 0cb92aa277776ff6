"""Proxies, one file each: cheap scores of architectures, which `nas tau` judges beside the supernet's own metrics.
`find` gives one by its name.
"""

from __future__ import annotations

from nas import plugins
from nas.errors import StrategyError
from nas.proxies._base import Evidence, Proxy
from nas.proxies._predictor import Predictor

__all__ = ["Evidence", "Predictor", "Proxy", "find", "names"]


def names() -> list[str]:
    """Names of all proxies: files of this folder, and entry points of the group "nas.proxies"."""
    return plugins.names(__name__)


def find(name: str) -> Proxy:
    """The proxy called `name`. Raises `StrategyError` when there is none."""
    # mypy: an abstract base is what plug-ins are checked against; those that are found are concrete
    return plugins.find(__name__, name, Proxy, StrategyError)()  # type: ignore[type-abstract]
