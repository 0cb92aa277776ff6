"""A class for every pixel: the levels of a pyramid together, and convolutions on them (FCN, Long et al., arXiv
1411.4038; on a pyramid, arXiv 1901.02446).

Ours differs: the levels are enlarged and summed without convolutions of their own, and the norm is over channels, so
that sub-networks share no statistics of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from nas.detectors._base import applied_to
from nas.detectors._on_pyramid import OnPyramid
from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import DetectorOutputs, Truth


@final
class Fcn(OnPyramid):
    """Its outputs are `logits`, float, B x classes x H x W, of the images' own size. It learns by them: there are no
    losses of its own, and nothing is detected.
    """

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__(body, spec)
        self.head = nn.Sequential(
            nn.Conv2d(spec.channels, spec.channels, 3, padding=1, bias=False),
            LayerNorm2d(spec.channels),
            nn.ReLU(),
            nn.Conv2d(spec.channels, spec.classes, 1),
        )

    @override
    def outputs(self, images: Tensor, truth: Truth | None, *, detect: bool) -> DetectorOutputs:
        finest, *coarser = self.pyramid(self.body, images)
        size = [int(side) for side in finest.shape[-2:]]
        summed = torch.stack([finest, *(_enlarged(level, size) for level in coarser)]).sum(0)
        logits = _enlarged(self.head(summed), [int(side) for side in images.shape[-2:]])
        return DetectorOutputs({"logits": logits})

    @override
    def applied(self) -> Mapping[str, int]:
        rows, columns = self.pyramid.stage_sizes(self.body)[0]
        return self.applied_in_pyramid() | applied_to(self.head, "head", rows * columns)

    @property
    @override
    def classifier(self) -> tuple[str, ...]:
        return "head.3.weight", "head.3.bias"


def _enlarged(features: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(features, size, mode="bilinear", align_corners=False)
