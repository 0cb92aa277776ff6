"""What leaves: a module from images to tensors, with names for what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.detectors._base import Detector
from nas.errors import DeploymentError

MAPS = "maps"
"""The part of a detector that ends with the levels of its pyramid."""


@final
@dataclass(frozen=True, eq=False)
class Deployable:
    """A module in evaluation mode that maps images (float, B x `image`) to a tensor, or to several.

    outputs   their names
    real      prepared images (N x `image`) on which it is compared, beside random ones; None where there are none
    """

    module: nn.Module
    image: tuple[int, int, int]
    outputs: tuple[str, ...]
    real: Tensor | None = None

    @torch.no_grad()
    def answers(self, images: Tensor) -> list[Tensor]:
        """What the module makes of images, one tensor per output."""
        return tensors(self.module(images))


def tensors(answer: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """A module's answer, as a list."""
    return [answer] if isinstance(answer, Tensor) else list(answer)


def deployable(model: nn.Module, image: tuple[int, int, int], part: str | None, real: Tensor | None) -> Deployable:
    """The whole of a classifier or of a YOLOS; of a detector on a pyramid its `MAPS`.

    Raises `DeploymentError` for a part that a model has not, or where no form holds the whole.
    """
    model = model.float().eval()
    if not isinstance(model, Detector):
        if part is not None:
            raise DeploymentError(f"--part: found {part} of a classifier; allowed: of a detector on a pyramid")
        return Deployable(model, image, ("logits",), real)
    if (part == MAPS) == bool(model.tokens):
        found = f"{MAPS} of" if part else "no part of"
        allowed = "the whole, without --part" if model.tokens else f"--part {MAPS}, what comes before proposals"
        raise DeploymentError(f"--part: found {found} a detector with the head {model.spec.head}; allowed: {allowed}")
    module = (_Whole(model) if model.tokens else _Maps(model)).eval()
    with torch.no_grad():
        names = (
            ("logits", "boxes")
            if model.tokens
            else tuple(f"map_{i}" for i in range(len(module(torch.zeros(1, *image)))))
        )
    return Deployable(module, image, names, real)


@final
class _Whole(nn.Module):
    """A detector on tokens, as logits (B x Q x K + 1) and boxes (B x Q x 4: centre and size, as shares)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    @override
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.detector.outputs(images, None, detect=False).fixed.values())


@final
class _Maps(nn.Module):
    """A body and its pyramid: a map (B x C x H x W) per level, finest first."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.body, self.pyramid = detector.body, detector.get_submodule("pyramid")

    @override
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.pyramid(self.body, images))
