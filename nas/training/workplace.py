"""Where a search or a criterion may train: data without its test split, a seed, a runtime (device, checkpoint), and who
trains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from nas.data import Data
from nas.evaluation import EVAL_BATCH
from nas.training.fit import Runtime, fit
from nas.training.trainer import Trainer


@final
@dataclass(frozen=True)
class Workplace:
    """What a strategy may train on. Its data has an empty test split, see `Data.without_test`.

    Whoever trains through `trainer` does so on several processes where the study says so: what is trained, its step,
    and what is called between its epochs must then be picklable. `eval_batch` are the images that are measured
    together.
    """

    data: Data
    seed: int = 0
    runtime: Runtime = field(default_factory=Runtime)
    trainer: Trainer = fit
    eval_batch: int = EVAL_BATCH

    def __post_init__(self) -> None:
        assert not len(self.data.test), "a search must not see the test split"
