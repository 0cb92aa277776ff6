"""From pictures of any size to one size, whole and undistorted: what has boxes in it must not be cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from PIL.Image import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from nas.data.resizing import Resizing

FILL = 114
"""Grey of what is no picture, of 0 ... 255: about the mean of photographs."""


@final
@dataclass(frozen=True)
class Letterbox:
    """uint8 pictures of (C, H, W) -> (C, height, width), still uint8: scaled until they fit, in the upper left corner,
    grey below or beside them.
    """

    height: int
    width: int

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def placement(self, height: int, width: int) -> tuple[float, ...]:
        """Where a picture of this size lies, as `nas.tasks.Annotations` has it."""
        rows, columns = self._scaled(height, width)
        return columns / width, rows / height, 0.0, 0.0, float(height), float(width)

    def __call__(self, images_CHW: Tensor) -> Tensor:
        """The picture in the letterbox."""
        rows, columns = self._scaled(*images_CHW.shape[-2:])
        resized: Tensor = vision.resize(images_CHW, [rows, columns], antialias=True)
        padded: Tensor = vision.pad(resized, [0, 0, self.width - columns, self.height - rows], fill=FILL)
        return padded

    def picture(self, picture: Image) -> Tensor:
        """As for a tensor, of one picture (grey or RGB): uint8, C x height x width."""
        return self(vision.pil_to_tensor(picture))

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that a picture fills, at least one of each."""
        scale = min(self.height / height, self.width / width)
        rows, columns = (max(1, round(scale * side)) for side in (height, width))
        return min(rows, self.height), min(columns, self.width)


Resizer: TypeAlias = Resizing | Letterbox
"""What makes pictures of any size images of one size; annotated ones are put into a letterbox."""
