"""Stratified, seeded division of labelled images: test split, search-validation split, smaller training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from nas.errors import DataError

ImageIndices = NDArray[np.int64]


def set_aside(
    labels: NDArray[np.int64], among: ImageIndices, take: int, seed: int, what: str
) -> tuple[ImageIndices, ImageIndices]:
    """Divides `among`, indices into `labels`, into (rest, `take` images), both ascending, classes in proportion.

    The same arguments give the same split. `DataError` when a class would miss in either part; `what` names the part
    for the message.
    """
    classes, counts = np.unique(labels[among], return_counts=True)
    rest_size = len(among) - take
    if counts.min() < 2 or min(take, rest_size) < len(classes):
        scarce = f"class {classes[counts.argmin()]} has {counts.min()}"
        raise DataError(
            f"{what}: {take} of {len(among)} images cannot be set aside so that each of the {len(classes)} classes "
            f"is in both parts ({scarce}); "
            "add images or change the share"
        )
    # Counts alone do not decide it: rounding may leave a rare class out of one part, which is seen only afterwards.
    rest, taken = train_test_split(among, test_size=take, stratify=labels[among], random_state=seed % 2**32)
    for part in (rest, taken):
        lost = np.setdiff1d(classes, labels[part])
        if len(lost):
            raise DataError(
                f"{what}: class {lost[0]} has {counts[classes == lost[0]][0]} images, too few for both parts; "
                "add images or change the share"
            )
    return np.sort(rest), np.sort(taken)
