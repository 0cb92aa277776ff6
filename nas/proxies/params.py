"""Parameters: what proxies at initialisation are first compared with (NAS-Bench-Suite-Zero, arXiv 2210.03230)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.proxies._base import CountedProxy


@final
@dataclass(frozen=True, kw_only=True)
class ParamsProxy(CountedProxy):
    """How many parameters the extracted model has."""

    @property
    @override
    def quantity(self) -> str:
        return "params"
