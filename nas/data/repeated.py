"""Pictures that are in two splits: what is measured on them was learnt by heart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import combinations

import torch
from torch import Tensor

from nas.data.images import CHUNK


def notes_on_repeated(splits: Mapping[str, Tensor]) -> list[str]:
    """A note per two held splits that share images, equal in every byte after resizing: uint8, N x C x H x W."""
    # One row of each image tells nearly all of them apart; whole images are hashed only where this row is shared. So a
    # mapped file is hardly read.
    rows = {name: _rows(images) for name, images in splits.items()}
    notes = []
    for one, other in combinations(splits, 2):
        suspects = set(rows[one]) & set(rows[other])
        if not suspects:
            continue
        known = set(_digests(splits[one], rows[one], suspects))
        count = sum(digest in known for digest in _digests(splits[other], rows[other], suspects))
        if count:
            notes.append(
                f"{count} of the {len(splits[other])} {other} images {'is' if count == 1 else 'are'} in {one} too, "
                "equal to the pixel"
            )
    return notes


def _rows(images_NCHW: Tensor) -> list[int]:
    """A number per image, of its middle row."""
    middle = images_NCHW.shape[2] // 2
    return [hash(row.tobytes()) for chunk in torch.split(images_NCHW[:, :, middle], CHUNK) for row in chunk.numpy()]


def _digests(images_NCHW: Tensor, rows: list[int], suspects: set[int]) -> Iterator[bytes]:
    for image, row in zip(images_NCHW, rows, strict=True):
        if row in suspects:
            yield hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()
