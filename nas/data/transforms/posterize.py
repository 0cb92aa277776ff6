"""Posterising to 0 bits, which timm's policies draw now and then: black, as it was with earlier versions of Pillow.
Pillow 13 refuses it, in the midst of a training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL.Image import Image


def posterized(picture: Image, bits_to_keep: int, **others: Any) -> Image:
    """As timm's function of that name."""
    from timm.data.auto_augment import posterize

    if bits_to_keep > 0:
        changed: Image = posterize(picture, bits_to_keep, **others)  # type: ignore[no-untyped-call]
        return changed
    return picture.point([0] * 256 * len(picture.getbands()))


def allow_no_bits(transform: Any) -> None:
    """Puts that function into the policies of timm's `transform`, whose other parts stay as they are."""
    from timm.data.auto_augment import posterize

    for stage in transform.transforms:
        for operation in _operations(stage):
            if operation.aug_fn is posterize:
                operation.aug_fn = posterized


def _operations(stage: Any) -> Iterator[Any]:
    """Of RandAugment and AugMix, which have one list of them, and of AutoAugment, which has one for each policy."""
    yield from getattr(stage, "ops", ())
    for policy in getattr(stage, "policy", ()):
        yield from policy
