"""By which decomposition a supernet factors its matrices, and what that decomposition must know of their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from torch import Tensor

from nas.supernets.decompositions import Directions, directions, refuse_unknown


@final
@dataclass(frozen=True, eq=False)
class Factoring:
    """A decomposition for all matrices; `covariances` maps a parameter to that of its layer's inputs (n x n)."""

    method: str = "svd"
    covariances: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_unknown(self.method)

    def directions(self, parameter: str, weight: Tensor) -> Directions:
        """Directions of one matrix. Raises ModelError when its covariance is needed and missing."""
        return directions(weight, self.method, self.covariances.get(parameter))
