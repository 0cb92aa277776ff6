"""MACs: AZ-NAS (arXiv 2403.19232) calls them complexity, and counts FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.proxies._base import CountedProxy


@final
@dataclass(frozen=True, kw_only=True)
class MacsProxy(CountedProxy):
    """Multiply-accumulates of one image."""

    @property
    @override
    def quantity(self) -> str:
        return "macs"
