"""A table of latencies: the steps of a forward are timed at some sizes, all others lie between them, and the sum is
held against whole sub-networks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from sklearn.isotonic import isotonic_regression
from torch import Tensor, nn

from nas.errors import LatencyError
from nas.latency.table import NANOSECONDS, Conditions, LatencyTable, TimeLookup
from nas.latency.timed_steps import Indexed, TimedStep, levels_of, probes, sizes_of, timed_steps
from nas.latency.timing import Timed, TimedCall, Timer, take_turns
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet
from nas.supernets.families._base import Piece
from nas.system.environment import describe

WHOLE = 12
"""Whole sub-networks that the sum is held against."""
MOST_SPREAD = 0.25
"""A machine whose times differ more, from the first quartile to the third, is busy with something else."""
PASSES = 4
"""Over all choices, until times grow along each of them."""


@torch.inference_mode()
def measured_table(
    supernet: Supernet, image: Sequence[int], *, batch: int = 1, timer: Timer | None = None, seed: int = 0
) -> LatencyTable:
    """The table of a supernet on the device that it is on, for batches of images (channels x height x width).

    Raises `LatencyError` where times spread so far that they say nothing.
    """
    supernet.eval()
    space, steps = supernet.space, timed_steps(supernet)
    probed = _Probed(supernet, torch.randn(1, *image, device=_device(supernet)), batch)
    signatures = [{indices: probed.of(step, a) for indices, a in probes(step, space)} for step in steps]
    drawn = [space.largest, *(space.sample(np.random.default_rng(seed + k)) for k in range(WHOLE - 1))]
    images = torch.randn(batch, *image, device=_device(supernet))
    wholes = [partial(supernet.extract(architecture).eval(), images) for architecture in drawn]
    timed = (timer or take_turns)([*probed.calls.values(), *wholes])
    spread = _spread(timed)
    times = dict(zip(probed.calls, timed, strict=False))
    lookups = [_lookup(step, space, {k: times[s].milliseconds for k, s in of.items()})
               for step, of in zip(steps, signatures, strict=True)]  # fmt: skip
    sums = LatencyTable(
        model=space.model,
        lengths={choice.name: len(choice.values) for choice in space.values()},
        constant=sum(lookup.values[0] for lookup in lookups if not lookup.choices),
        lookups=tuple(lookup for lookup in lookups if lookup.choices),
        conditions=Conditions(
            str(_device(supernet)), torch.get_num_threads(), batch, tuple(image), describe(), len(timed), spread
        ),
    )
    return _calibrated(sums, space, drawn, [whole.milliseconds for whole in timed[len(probed.calls) :]])


def _device(supernet: Supernet) -> torch.device:
    return next(supernet.parameters()).device


@final
@dataclass
class _Probed:
    """What is timed: one call for all steps that compute the same on tensors of the same shapes."""

    supernet: Supernet
    image: Tensor
    batch: int
    calls: dict[Hashable, TimedCall] = field(default_factory=dict)
    _known: dict[Architecture, dict[tuple[str, ...], Hashable]] = field(default_factory=dict)

    def of(self, step: TimedStep, architecture: Architecture) -> Hashable:
        """The signature of a step in a sub-network, by which its call is known."""
        if architecture not in self._known:
            self._known[architecture] = dict(self._run(architecture))
        return self._known[architecture][step.reads]

    def _run(self, architecture: Architecture) -> Iterator[tuple[tuple[str, ...], Hashable]]:
        """What each step reads, and its signature."""
        subnet = self.supernet.subnet(architecture)
        x: Any = self.image
        for _, step in self.supernet.steps(subnet, architecture):
            signature = (_shapes(subnet, step), tuple(x.shape[1:]))
            if signature not in self.calls:
                inputs = torch.randn(self.batch, *x.shape[1:], device=x.device)
                self.calls[signature] = partial(step.run, inputs)
            yield step.reads, signature
            x = step.run(x)


def _shapes(subnet: nn.Module, step: Piece) -> Hashable:
    """The classes and the tensors of what a step computes with, without their place in the model."""
    found: list[tuple[str, object]] = []
    for path in step.reads:
        owner, _, name = path.rpartition(".")
        held = getattr(subnet.get_submodule(owner), name, None) if name else subnet
        if isinstance(held, Tensor):
            found.append(("", tuple(held.shape)))
        elif isinstance(held, nn.Module):
            found += [(name, type(inner).__name__) for name, inner in held.named_modules()]
            tensors = (*held.named_parameters(), *held.named_buffers())
            found += [(name, tuple(tensor.shape)) for name, tensor in tensors]
    return tuple(found)


def _spread(timed: Sequence[Timed]) -> float:
    """Of typical times. Raises `LatencyError` where it says that the machine is busy."""
    spread = float(np.median([one.spread for one in timed]))
    if spread > MOST_SPREAD:
        raise LatencyError(
            f"the same computation takes {100 * spread:.0f} % longer or shorter from one time to the next; allowed: "
            f"{100 * MOST_SPREAD:.0f} %: end what else runs on this machine, and measure again"
        )
    return spread


def _lookup(step: TimedStep, space: SearchSpace, times: Indexed) -> TimeLookup:
    """Nanoseconds of a step for all values of the choices that decide it, and 0 where it is left out."""
    choices = list(space.values())
    table, names = _interpolated(step, space, times), [choices[position].name for position in step.choices]
    if step.depth:
        leaving = next(choice for choice in choices if step.depth in choice.axes)
        stays = np.array([sizes[step.depth] for sizes in leaving.sizes], dtype=np.float64)
        table, names = table[..., None] * stays, [*names, leaving.name]
    return TimeLookup(tuple(names), tuple(np.rint(table * NANOSECONDS).astype(np.int64).ravel().tolist()))


def _interpolated(step: TimedStep, space: SearchSpace, times: Indexed) -> NDArray[np.float64]:
    """Milliseconds for every combination of values, never less for more units."""
    levels = levels_of(step, space)
    measured = np.array([times[indices] for indices in product(*(of.tolist() for of in levels))])
    measured = _growing(measured.reshape([len(of) for of in levels]))
    # A choice of a single value is no dimension to interpolate along.
    several = [d for d, of in enumerate(levels) if len(of) > 1]
    sizes = [sizes_of(position, space) for position in step.choices]
    if not several:
        return measured
    known = RegularGridInterpolator([sizes[d][levels[d]] for d in several], measured.squeeze())
    wanted = np.meshgrid(*(sizes[d] for d in several), indexing="ij")
    every: NDArray[np.float64] = known(np.stack(wanted, axis=-1))
    return every.reshape([len(of) for of in sizes])


def _growing(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest times, about, that do not shrink along any dimension: what shrinks is noise of the measurement."""
    for _ in range(PASSES):
        for dimension in range(table.ndim):
            table = np.apply_along_axis(isotonic_regression, dimension, table)
    return table


def _calibrated(
    table: LatencyTable, space: SearchSpace, architectures: Sequence[Architecture], milliseconds: Sequence[float]
) -> LatencyTable:
    """The table times a factor, so that whole sub-networks take what was measured: a step that runs again and again has
    its weights in the cache, in a forward it has not.
    """
    sums = np.array([table.milliseconds(space, architecture)[0] for architecture in architectures])
    factor = float(np.median(np.array(milliseconds) / sums))
    scaled = tuple(
        TimeLookup(lookup.choices, tuple(round(value * factor) for value in lookup.values)) for lookup in table.lookups
    )
    return replace(table, constant=round(table.constant * factor), lookups=scaled)
