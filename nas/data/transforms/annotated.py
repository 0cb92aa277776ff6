"""`annotated`: torchvision's transforms of pictures with their boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, final

import torch
from pydantic import AfterValidator
from torchvision import tv_tensors
from typing_extensions import override

from nas.data.letterbox import FILL
from nas.data.transforms.annotated_image import AnnotatedImage, as_batch, image_of, mosaic
from nas.data.transforms.seeded import seeded
from nas.data.transforms.together import Together
from nas.numbers import Share, above, number
from nas.tasks import Annotations, Batch


def _ascending(least_and_most: tuple[float, float]) -> tuple[float, float]:
    if least_and_most[0] > least_and_most[1]:
        raise ValueError("the least and the most, in this order")
    return least_and_most


_Scale = Annotated[tuple[Annotated[float, above(0, 10)], Annotated[float, above(0, 10)]], AfterValidator(_ascending)]


@final
@dataclass(frozen=True, kw_only=True)
class AnnotatedAugmentation(Together):
    """Mirrors, sizes, colours and mosaics. All is drawn by the seed of the picture.

    hflip, vflip            how probable it is that a picture is mirrored left to right, top to bottom
    scale                   [least, most]: it is scaled by so much, and cut at random, or put somewhere into grey
    brightness, contrast, saturation
                            by how much they change at most, as a share
    hue                     by how much of the colours' circle hues turn at most
    mosaic                  how probable it is that four pictures, each at half its size, stand in for one
    """

    hflip: Share = 0.5
    vflip: Share = 0.0
    scale: _Scale = (1.0, 1.0)
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, number(0, 0.5)] = 0.0
    mosaic: Share = 0.0

    @property
    @override
    def company(self) -> int:
        return 3 if self.mosaic else 0

    @override
    def together(self, pictures: Batch, seed: int) -> Batch:
        with seeded(seed):
            image = image_of(pictures, 0)
            if len(pictures) > 1 and float(torch.rand(())) < self.mosaic:
                image = mosaic([image, *(image_of(pictures, number) for number in range(1, len(pictures)))])
            image = self._varied(image)
        assert isinstance(pictures.targets, Annotations)
        return as_batch(image, int(pictures.targets.ids[0]))

    def _varied(self, image: AnnotatedImage) -> AnnotatedImage:
        """Scaled, cut to the size that it had, mirrored, coloured."""
        from torchvision.transforms import v2

        height, width = image.pixels.shape[-2:]
        steps: list[v2.Transform] = [v2.RandomHorizontalFlip(self.hflip), v2.RandomVerticalFlip(self.vflip)]
        if self.scale != (1.0, 1.0):
            least, most = self.scale
            factor = least + (most - least) * float(torch.rand(()))
            size = [max(1, round(factor * side)) for side in (height, width)]
            fill = {tv_tensors.Image: FILL, "others": 0}
            steps = [v2.Resize(size), v2.RandomCrop((height, width), pad_if_needed=True, fill=fill), *steps]
        if self.brightness or self.contrast or self.saturation or self.hue:
            steps.append(v2.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue))
        return image.through(v2.Compose(steps))
