"""Whether a file says what its model says: on random images and on real ones, at two batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nas.deployment.deployable import Deployable
from nas.errors import DeploymentError

BATCHES = (2, 5)
"""Images at a time."""
TOLERANCE = 1e-4
"""Greatest difference of an output, in units of the output's greatest value, or of 1 where that is smaller."""
ROUNDED = 2e-2
"""The same where the model computes in int8: a sum that others add up in another order may fall to the next number."""
IMAGES = sum(BATCHES)
"""Real ones that are looked at."""
LEAST = 1e-9  # that is said


class Closeness(NamedTuple):
    """The greatest difference that was seen, and whether real images were among those that were looked at."""

    difference: float
    real: bool

    def __str__(self) -> str:
        images = "random and real images" if self.real else "random images"
        sizes = " and ".join(map(str, BATCHES))
        return f"the model's outputs to {max(self.difference, LEAST):.0e} on {images}, {sizes} at a time"


def compare(form: str, original: Deployable, run: Callable[[Tensor], Sequence[Tensor]]) -> Closeness:
    """Compares what `run` makes of images with what the model makes of them. Raises `DeploymentError` where that is
    something else; `form` is what messages call it.
    """
    worst, allowed = 0.0, ROUNDED if original.rounds else TOLERANCE
    for images in _samples(original):
        for name, expected, answer in zip(original.outputs, original.answers(images), run(images), strict=True):
            if answer.shape != expected.shape:
                raise DeploymentError(
                    f"{form}: '{name}' of {len(images)} images is {tuple(answer.shape)}, of the model "
                    f"{tuple(expected.shape)}; nothing was written"
                )
            difference = float((answer - expected).abs().max() / expected.abs().max().clamp_min(1))
            if not difference <= allowed:  # true of what is no number, too
                raise DeploymentError(
                    f"{form}: '{name}' differs from the model's by {difference:.2g} on {len(images)} images; allowed: "
                    f"{allowed:g}; nothing was written"
                )
            worst = max(worst, difference)
    return Closeness(worst, original.real is not None)


def _samples(original: Deployable) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for size in BATCHES:
        yield torch.randn(size, *original.image, generator=generator)
    if original.real is not None:
        parts = original.real[: BATCHES[0]], original.real[BATCHES[0] : IMAGES]
        yield from (images for images in parts if len(images))
