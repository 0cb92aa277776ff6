"""The given order: units stay in the order in which the model has them. The baseline for every other criterion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from nas.importance.base import Importance
from nas.supernets import Supernet


@final
@dataclass(frozen=True, kw_only=True)
class Given(Importance):
    """No scores, so that nothing is reordered."""

    def scores(
        self,
        supernet: Supernet,  # noqa: ARG002  (the interface)
        batches: Iterable[tuple[Tensor, Tensor]],  # noqa: ARG002  (the interface)
    ) -> Mapping[str, Tensor]:
        """See `Importance.scores`."""
        return {}
