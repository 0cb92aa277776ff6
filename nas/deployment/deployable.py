"""What leaves: a module from images to tensors, with names for what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from nas.detectors._base import Detector
from nas.detectors._on_pyramid import OnPyramid
from nas.detectors.fcn import Fcn
from nas.detectors.yolos import Yolos
from nas.errors import DeploymentError
from nas.supernets.int8_weights import rounds, with_int8

MAPS = "maps"
"""The part of a detector that ends with the levels of its pyramid."""
WHOLE = (Yolos, Fcn)
"""Those whose answer is their outputs of fixed shapes; others sort proposals, which no form holds."""


@final
@dataclass(frozen=True, eq=False)
class Deployable:
    """A module in evaluation mode that maps images (B x `image`) to a tensor, or to several.

    outputs   their names
    real      prepared images (N x `image`) on which it is compared, beside random ones; None where there are none
    dtype     of images
    """

    module: nn.Module
    image: tuple[int, int, int]
    outputs: tuple[str, ...]
    real: Tensor | None = None
    dtype: torch.dtype = torch.float32

    @cached_property
    def rounds(self) -> bool:
        """Whether it computes in int8: then what others compute differs by a step of it, here and there."""
        return rounds(self.module)

    @torch.no_grad()
    def answers(self, images: Tensor) -> list[Tensor]:
        """What the module makes of images, one tensor per output."""
        return tensors(self.module(images))


def tensors(answer: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """A module's answer, as a list."""
    return [answer] if isinstance(answer, Tensor) else list(answer)


def deployable(model: nn.Module, image: tuple[int, int, int], part: str | None, real: Tensor | None) -> Deployable:
    """The whole of a classifier, or of one of `WHOLE`; of a detector on a pyramid, its `MAPS`.

    Raises `DeploymentError` for a part that a model has not, or where no form holds the whole.
    """
    model = with_int8(model.float().eval())
    if not isinstance(model, Detector):
        if part is not None:
            raise DeploymentError(f"--part: found {part} of a classifier; allowed: of a detector on a pyramid")
        return Deployable(model, image, ("logits",), real)
    allowed = [*(["the whole, without --part"] if isinstance(model, WHOLE) else []),
               *([f"--part {MAPS}"] if isinstance(model, OnPyramid) else [])]  # fmt: skip
    if part not in (None, MAPS) or f"--part {MAPS}" not in allowed if part else not isinstance(model, WHOLE):
        found = part or "the whole"
        raise DeploymentError(f"--part: found {found} of {model.spec.head}; allowed: {' or '.join(allowed)}")
    images = torch.zeros(1, *image)
    with torch.no_grad():
        if part is None:
            return Deployable(_Whole(model).eval(), image, tuple(_fixed(model, images)), real)
        maps = _Maps(model).eval()
        return Deployable(maps, image, tuple(f"map_{level}" for level in range(len(maps(images)))), real)


def _fixed(detector: Detector, images: Tensor) -> Mapping[str, Tensor]:
    return detector.outputs(images, None, detect=False).fixed


@final
class _Whole(nn.Module):
    """A detector by its outputs of fixed shapes: of YOLOS, logits (B x Q x K + 1) and boxes (B x Q x 4)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    @override
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(_fixed(self.detector, images).values())


@final
class _Maps(nn.Module):
    """A body and its pyramid: a map (B x C x H x W) per level, finest first."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.body, self.pyramid = detector.body, detector.get_submodule("pyramid")

    @override
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.pyramid(self.body, images))
