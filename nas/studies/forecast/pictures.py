"""A few pictures of a study, decoded as they will be, and how many there are in all."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

from nas.data import Data, HeldSplit, load_data
from nas.data.cache import resolved
from nas.data.split import Split
from nas.preprocessing import Preprocessing
from nas.studies.file.resolve import Resolved

MOST = 64
"""Pictures that are decoded to be timed."""
SOME = Preprocessing(mean=(0.5,), std=(0.5,))
"""Constants to normalise with: a step takes no longer by others, and the true ones need all pictures."""


@final
@dataclass(frozen=True, eq=False)
class FewPictures:
    """`data` are the study's splits, from which a picture is decoded when it is asked for; `few` of its training
    pictures are held.
    """

    data: Data
    few: HeldSplit
    decoding: float
    """Seconds that one picture takes."""

    @classmethod
    def of(cls, study: Resolved) -> FewPictures:
        """Of a study whose data are here. Raises `DataError` for pictures that cannot be read or divided."""
        spec = study.config.data
        data = load_data(
            replace(spec, cache="none", workers=0),
            task=study.task,
            image_size=study.image_size,
            seed=study.config.seed,
            constants=SOME,
            listing=study.listing,
        )
        split = data.train.shuffled(0)
        few = split.between(0, min(MOST, len(split)))
        started = time.perf_counter()
        images = few.first(len(few))
        decoding = (time.perf_counter() - started) / len(few)
        targets = next(few.batches(len(few))).targets
        return cls(data, HeldSplit(images, targets, few.preprocessing), decoding)

    def pictures(self, count: int) -> Data:
        """Data whose training split are so many of the few."""
        part = self.few.between(0, count)
        return replace(self.data, train=part, validation=part, test=part.between(0, 0))

    @cached_property
    def splits(self) -> tuple[Split, ...]:
        """Training, search-validation and test."""
        return self.data.train, self.data.validation, self.data.test


def held(study: Resolved, split: Split) -> bool:
    """Whether a run keeps the images of a split, so that they are decoded once."""
    return resolved(study.config.data.cache, split.shape) != "none"
