"""The given order: units stay in the order in which the model has them. The baseline for every other criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from nas.importance._base import Importance, Scored
from nas.supernets import Supernet
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True, kw_only=True)
class Given(Importance):
    """No scores, so that nothing is reordered."""

    @property
    @override
    def blockwise(self) -> bool:
        return True

    @override
    def score(self, supernet: Supernet, work: Workplace) -> Scored:
        return Scored({})
