"""Which images an epoch holds, in which order, and by which seed each of them is varied."""

from __future__ import annotations

import torch
from torch import Tensor

from nas import seeds


def order(count: int, generator: torch.Generator | None, repeats: int = 1) -> Tensor:
    """Positions of `count` images (int64, N) in the order of an epoch: as they are, or drawn.

    With `repeats`, each comes so often in a row, and the epoch ends after `count`: some images are not seen in it.
    Divided among ranks batch by batch, that is timm's `RepeatAugSampler`.
    """
    if generator is None:
        return torch.arange(count)
    drawn = torch.randperm(count, generator=generator)
    return torch.repeat_interleave(drawn, repeats)[:count]


def picture_seed(seed: int, index: int, place: int, repeats: int) -> int:
    """By what an image is varied: a function of the epoch's seed, its position `index` in the split, and which of its
    copies it is, that at `place` in the epoch's order.
    """
    return seeds.derive(seed, seeds.PICTURE, index, place % repeats)


def picture_seeds(seed: int, positions: Tensor, places: Tensor, repeats: int) -> list[int]:
    """The seeds of several images, see `picture_seed`."""
    both = zip(positions.tolist(), places.tolist(), strict=True)
    return [picture_seed(seed, position, place, repeats) for position, place in both]
