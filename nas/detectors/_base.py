"""What every detector is: a body, what finds objects around it, and what a supernet must know of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.detectors.options import DetectorSpec
from nas.detectors.outputs import DetectorOutputs, Supervised, Truth
from nas.searchspaces.axis_names import POSITIONS

BODY = "body"
"""Path of the body in its detector."""
DRAWS = 0
"""Seed of what is drawn where a loss is measured, so that it is the same for the same weights."""


class Detector(nn.Module, ABC):
    """Called with images (float, B x C x H x W), it finds objects; with a `Supervised`, its losses are computed, too.

    All images have the size that the body was built for.
    """

    def __init__(self, body: nn.Module, spec: DetectorSpec) -> None:
        super().__init__()
        self.body = body
        self.spec = spec

    def forward(self, x: Tensor | Supervised) -> DetectorOutputs:
        """Losses where the truth is known; objects in evaluation, unless a `Supervised` wants none."""
        if isinstance(x, Tensor):
            return self.outputs(x, None, detect=not self.training)
        with _drawing(x.images.device, alike=not self.training):
            return self.outputs(x.images, x.truth, detect=x.detect and not self.training)

    @abstractmethod
    def outputs(self, images: Tensor, truth: Truth | None, *, detect: bool) -> DetectorOutputs:
        """See `forward`."""

    @abstractmethod
    def applied(self) -> Mapping[str, int]:
        """To how much each weight outside the body is applied, per image: positions of maps, proposals, tokens."""

    @property
    def tokens(self) -> int:
        """How many tokens of the body, its last ones before the patches, are read; 0 where its maps are."""
        return 0

    @property
    def inelastic(self) -> Mapping[str, str]:
        """Dimensions of the body that cannot be chosen -> why not: of tokens none."""
        return dict.fromkeys(POSITIONS, f"{self.spec.head} reads a map of all tokens, which has no holes")

    @property
    def named(self) -> Mapping[str, str]:
        """Parameters outside the body that follow its width -> the names of their axes."""
        return {}

    @property
    @abstractmethod
    def classifier(self) -> tuple[str, ...]:
        """Names of the parameters that decide how many classes are told apart."""

    def block_of(self, name: str) -> str:  # noqa: ARG002  (for overriding ones)
        """Index of the block that a parameter outside the body belongs to; empty for most."""
        return ""

    def completed(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of the body, with what those of a plain one lack."""
        return weights

    def resized(self, width: int) -> None:
        """Follow another width of the body."""

    def without(self, blocks: frozenset[str]) -> None:
        """Drop what belongs to blocks of the body that are gone."""

    def own_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What is outside the body."""
        return ((name, p) for name, p in self.named_parameters() if not name.startswith(f"{BODY}."))


def applied_to(module: nn.Module, path: str, n: int) -> dict[str, int]:
    """Every weight of a module, with the path before its name, is applied to `n`."""
    names = (name for name, parameter in module.named_parameters() if parameter.dim() > 1)
    return {f"{path}.{name}" if path else name: n for name in names}


@contextmanager
def _drawing(device: torch.device, *, alike: bool) -> Iterator[None]:
    """What is drawn inside is the same each time, if `alike`, and then leaves torch's generators as they were."""
    if not alike:
        yield
        return
    devices = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(DRAWS)
        yield
