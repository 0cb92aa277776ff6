"""What sizes cost that are no multiples of 8, 16 or 32: matrix kernels compute in whole tiles, so that a few units more
may take as long as the next whole tile.

Between two multiples of 64 in the middle of an axis, sub-networks of several sizes are timed in turns. A pass should
take what lies on the line through both ends; what it takes beyond that is the price of its size.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from nas.latency.devices import Device
from nas.latency.passes import Passes, noise_of
from nas.latency.timing import StepTime
from nas.searchspaces import Architecture, Choice, SearchSpace
from nas.searchspaces.axis_names import HEADS, dimension
from nas.supernets import Supernet

TILES = (64, 32, 16, 8)
"""Units between both ends, as many of these as fit into half of the axis."""
OFFSETS = (0, 1, 3, 4, 5, 7, 8, 12, 16, 20, 24, 29, 32, 40, 48, 59, 64)
"""Units above the lower end."""
SHORT = 20.0
"""Seconds for one axis, about."""
LEAST = 8
"""Multiples of less are no tiles of any kernel."""


@final
@dataclass(frozen=True)
class Price:
    """Of sizes along one axis, in as many blocks as have as many units of it: "mlp" from 384 to 448 of 768.

    dimension   what it is called in a space
    ends        the lowest and the highest size that was timed; the line goes through both
    units       of the whole axis
    blocks      that were cut together
    excess      greatest tile that a size is a multiple of, 1 for none -> by how much longer a whole pass takes than the
                line says, as a share, on average
    noise       of a time, as a share
    """

    dimension: str
    ends: tuple[int, int]
    units: int
    blocks: int
    excess: Mapping[int, float]
    noise: float


@torch.inference_mode()
def prices(supernet: Supernet, image: Sequence[int], device: Device, seconds: float = SHORT) -> list[Price]:
    """Of every axis that the space of a supernet (on the processor, in float32) cuts to some size that is no multiple
    of 8, timed on a device with random images (channels x height x width), each in about `seconds`. An axis of less
    than 16 units has none, and heads have none, whose units are whole matrices.

    Raises `LatencyError` where the device cannot run them, or where times spread so far that they say nothing.
    """
    device = device.settled()
    device.check()
    supernet.eval()
    images = torch.randn(device.batch, *image, generator=torch.Generator().manual_seed(0))
    return [_price(choice, supernet, images, device, seconds) for choice in _choices(supernet)]


def _choices(supernet: Supernet) -> list[Choice]:
    """A choice for each axis, of the sizes that are timed, in all blocks that have as many units as most have."""
    space, full = supernet.space, supernet.table.frame.axes
    cut = {
        dimension(axis)
        for choice in space.values()
        for sizes in choice.sizes
        for axis, size in sizes.items()
        if choice.kind == "size" and size % LEAST and size < full[axis]
    }
    found = []
    for name in space.outline.dimensions:
        axes = space.outline.dimensions[name]
        units, _ = Counter(full[axis] for axis in axes).most_common(1)[0]
        tile = next((tile for tile in TILES if units >= 2 * tile), None)
        if name in cut and name != HEADS and tile is not None:
            start = units // 2 // tile * tile
            sizes = [start + offset for offset in OFFSETS if offset <= tile]
            some = [axis for axis in axes if full[axis] == units]
            found.append(Choice(name, "size", tuple(sizes), tuple(dict.fromkeys(some, size) for size in sizes)))
    return found


def _price(choice: Choice, supernet: Supernet, images: torch.Tensor, device: Device, seconds: float) -> Price:
    own = Supernet(supernet.model, SearchSpace([choice], supernet.space.outline, supernet.space.model_args)).eval()
    sizes = [int(size) for size in choice.values]
    timed = Passes(own, device, images).timed([], [Architecture({choice.name: size}) for size in sizes], seconds)
    return Price(
        choice.name,
        (sizes[0], sizes[-1]),
        supernet.table.frame.axes[choice.axes[0]],
        len(choice.axes),
        _excess(sizes, timed.whole),
        noise_of(timed.whole),
    )


def _excess(sizes: Sequence[int], timed: Sequence[StepTime]) -> dict[int, float]:
    milliseconds = np.array([one.milliseconds for one in timed])
    line = np.interp(sizes, [sizes[0], sizes[-1]], milliseconds[[0, -1]])
    tile, groups = sizes[-1] - sizes[0], defaultdict(list)
    for size, share in zip(sizes[1:-1], (milliseconds / line - 1)[1:-1].tolist(), strict=True):
        divisor = math.gcd(size, tile)
        groups[divisor if divisor >= LEAST else 1].append(share)
    return {divisor: float(np.mean(groups[divisor])) for divisor in sorted(groups)}
