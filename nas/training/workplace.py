"""Where a search or a criterion may train: data without its test split, a seed, a runtime (device, checkpoint)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from nas.data import Data
from nas.training.fit import Runtime


@final
@dataclass(frozen=True)
class Workplace:
    """What a strategy may train on. Its data has an empty test split, see `Data.without_test`."""

    data: Data
    seed: int = 0
    runtime: Runtime = field(default_factory=Runtime)

    def __post_init__(self) -> None:
        assert not len(self.data.test), "a search must not see the test split"
