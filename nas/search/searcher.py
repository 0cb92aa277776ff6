"""The option `searcher:` of strategies that measure in their own way what another strategy proposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from nas.errors import StrategyError
from nas.search import registry
from nas.search.strategy import AskTell


def proposing(options: str | Mapping[str, Any]) -> AskTell:
    """The strategy that a name, or a mapping with `use:`, describes. Raises `StrategyError` if it is wrong."""
    given = {"use": options} if isinstance(options, str) else dict(options)
    name = given.pop("use", None)
    kind = registry.find(str(name))
    if not issubclass(kind, AskTell):
        raise StrategyError(f"searcher: found '{name}'; allowed: strategies that propose one architecture at a time")
    try:
        return TypeAdapter(kind).validate_python(given, strict=False)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        raise StrategyError(f"searcher '{name}': {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _checked(options: str | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        proposing(options)
    except StrategyError as fault:
        raise ValueError(str(fault)) from None
    return {"use": options} if isinstance(options, str) else dict(options)


SearcherOptions = Annotated[str | Mapping[str, Any], AfterValidator(_checked)]
"""A black-box strategy's name, or a mapping with `use:` and its options."""
