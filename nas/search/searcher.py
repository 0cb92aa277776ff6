"""The option `searcher:` of strategies that measure in their own way what another strategy proposes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator

from nas.documents.markers import Plugged
from nas.documents.plugged import checked, plugin_of
from nas.errors import StrategyError
from nas.search import registry
from nas.search.strategy import AskTell


def _asked(name: str) -> type[AskTell]:
    kind = registry.find(name)
    if not issubclass(kind, AskTell):
        raise StrategyError(f"'{name}'; allowed: strategies that propose one architecture at a time")
    return kind


SEARCHER = Plugged("searcher", registry.names, _asked)
SearcherOptions = Annotated[str | Mapping[str, Any], SEARCHER, AfterValidator(partial(checked, plugged=SEARCHER))]
"""A black-box strategy's name, or a mapping with `use:` and its options."""


def proposing(options: str | Mapping[str, Any]) -> AskTell:
    """The strategy that options describe. Raises `ConfigError` if they are wrong."""
    return plugin_of(options, SEARCHER)
