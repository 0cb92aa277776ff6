"""Images that are held as tensors, through the transform of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from nas.data.transforms.augmentation import Transform
from nas.data.transforms.seeded import generators_kept


def varied(images_BCHW: Tensor, transform: Transform, seeds: Sequence[int]) -> Tensor:
    """The images (uint8), each varied by a seed of its own; float32 and normalised where the transform normalises. Of
    no images, there is nothing to vary.
    """
    with generators_kept():
        images = [transform(to_pil_image(image), seed) for image, seed in zip(images_BCHW, seeds, strict=True)]
    return torch.stack(images) if images else images_BCHW
