"""From pictures of any size to the square that a model takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast, final

import torch
from PIL.Image import Image
from timm.data.transforms_factory import transforms_imagenet_eval
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from nas.errors import DataError
from nas.preprocessing import CropMode, Interpolation

LARGEST = 178_956_970
"""Pixels of one picture, as it lies there or while it is resized: what PIL opens. More is a mistake, or an attack."""


@final
@dataclass(frozen=True)
class Resizing:
    """uint8 images of (..., C, H, W) -> (..., C, size, size), still uint8; see `nas.preprocessing` for the constants.

    By the defaults, whole batches are resized as tensors. With any other constants every image goes through timm's own
    transform for evaluation, so that a pretrained model is fed to the last bit what timm would feed it.
    """

    size: int
    crop_pct: float = 1.0
    interpolation: Interpolation = "bilinear"
    crop_mode: CropMode = "center"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.size, self.size

    def __call__(self, images_CHW: Tensor) -> Tensor:
        """Raises `DataError` for images so long and narrow that they would not fit into memory."""
        height, width = images_CHW.shape[-2:]
        shorter = math.floor(self.size / self.crop_pct)
        longer = math.ceil(max(height, width) / min(height, width) * shorter)
        if self.crop_mode == "center" and shorter * longer > LARGEST:
            raise DataError(f"{width:,} x {height:,} pixels: too long and narrow to be resized to {self.size} pixels")
        if (self.crop_pct, self.interpolation, self.crop_mode) != (1.0, "bilinear", "center"):
            return self._as_timm(images_CHW)
        if (height, width) == (self.size, self.size):
            return images_CHW
        resized: Tensor = vision.resize(images_CHW, [self.size], antialias=True)
        cropped: Tensor = vision.center_crop(resized, [self.size, self.size])
        return cropped

    def picture(self, picture: Image) -> Tensor:
        """As for a tensor, of one picture (grey or RGB): uint8, C x size x size."""
        return self(vision.pil_to_tensor(picture))

    def _as_timm(self, images_CHW: Tensor) -> Tensor:
        images = images_CHW.reshape(-1, *images_CHW.shape[-3:])
        resized = torch.stack([self._transform(vision.to_pil_image(image)) for image in images])
        return resized.reshape(*images_CHW.shape[:-2], self.size, self.size)

    @cached_property
    def _transform(self) -> Callable[[object], Tensor]:
        transform = transforms_imagenet_eval(
            self.size,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            interpolation=self.interpolation,
            normalize=False,
        )
        return cast("Callable[[object], Tensor]", transform)
