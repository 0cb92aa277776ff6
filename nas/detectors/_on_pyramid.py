"""What detectors share that read a pyramid of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from typing_extensions import override

from nas.detectors._base import Detector
from nas.detectors.options import DetectorSpec
from nas.detectors.pyramid import level_sizes, pyramid_of
from nas.searchspaces.axis_names import EMBED


class OnPyramid(Detector):
    """A body, and the pyramid on it, which follows its width."""

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__(body, spec)
        self.pyramid = pyramid_of(body, spec)

    def applied_in_pyramid(self) -> dict[str, int]:
        """To how many positions each weight of the pyramid is applied, per image."""
        return {f"pyramid.{name}": n for name, n in self.pyramid.applied(self.body).items()}

    def positions(self) -> int:
        """How many positions all levels have together."""
        return sum(height * width for height, width in level_sizes(self.pyramid, self.body, len(self.spec.anchors)))

    @property
    @override
    def inelastic(self) -> Mapping[str, str]:
        """Also widths, where the pyramid follows none."""
        widths = {} if self.pyramid.named else {EMBED: f"{self.spec.head} reads maps as wide as all stages are"}
        return {**super().inelastic, **widths}

    @property
    @override
    def named(self) -> Mapping[str, str]:
        return {f"pyramid.{name}": axes for name, axes in self.pyramid.named.items()}

    @override
    def resized(self, width: int) -> None:
        self.pyramid.resized(width)


def maps(levels: Sequence[Tensor]) -> dict[str, Tensor]:
    """The levels by name, for outputs that are compared."""
    return {f"map {level}": features for level, features in enumerate(levels)}
