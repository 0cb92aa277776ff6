"""Random crops and flips of a whole batch at once, on uint8 tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def crop(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Pads each side by an eighth of the image (black) and cuts the size back out, at another random position for each
    image.
    """
    batch, _, height, width = images_BCHW.shape
    pad = max(1, height // 8)
    padded = torch.nn.functional.pad(images_BCHW, (pad, pad, pad, pad))
    # One indexing for the whole batch: image b takes rows shift ... shift + height, and likewise columns.
    shift_2B = torch.randint(0, 2 * pad + 1, (2, batch), generator=generator)
    rows_BH = shift_2B[0, :, None] + torch.arange(height)
    columns_BW = shift_2B[1, :, None] + torch.arange(width)
    # Indices on both sides of the slice move the channels to the end.
    cut_BHWC = padded[torch.arange(batch)[:, None, None], :, rows_BH[:, :, None], columns_BW[:, None, :]]
    return cut_BHWC.permute(0, 3, 1, 2).contiguous()


def flip(images_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors each image left to right with probability one half."""
    mirrored_B = torch.rand(len(images_BCHW), generator=generator) < 0.5
    return torch.where(mirrored_B[:, None, None, None], images_BCHW.flip(-1), images_BCHW)
