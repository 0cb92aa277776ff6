"""A table of latencies: sub-networks are timed step by step, at some sizes of each step; all others lie between them,
and the sum is held against whole sub-networks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from sklearn.isotonic import isotonic_regression
from torch import Tensor

from nas.errors import LatencyError
from nas.latency.design import Signature, Signatures, designed, held
from nas.latency.table import FORMAT, NANOSECONDS, Conditions, LatencyTable, TimeLookup, fingerprint
from nas.latency.timed_steps import Indexed, TimedStep, levels_of, probes, sizes_of, timed_steps
from nas.latency.timing import Forward, StepTime, Timer, take_turns
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet
from nas.system.environment import describe

WHOLE = 12
"""Whole sub-networks that the sum is held against."""
MOST_NOISE = 0.05
"""A machine whose times differ more from one measurement to the next is busy with something else."""
PASSES = 4
"""Over all choices, until times grow along each of them."""
AT_ONCE = 2**31
"""Bytes of the sub-networks that are timed in turns; more are timed one part after the other."""


@torch.inference_mode()
def measured_table(
    supernet: Supernet, image: Sequence[int], *, batch: int = 1, timer: Timer | None = None, seed: int = 0
) -> LatencyTable:
    """The table of a supernet on the device that it is on, for batches of images (channels x height x width).

    Raises `LatencyError` where times spread so far that they say nothing.
    """
    supernet.eval()
    space, steps, device = supernet.space, timed_steps(supernet), next(supernet.parameters()).device
    images = torch.randn(batch, *image, generator=torch.Generator().manual_seed(seed)).to(device)
    known = Signatures(supernet, images[:1])
    drawn = [space.largest, *(space.sample(np.random.default_rng(seed + k)) for k in range(WHOLE - 1))]
    chosen = designed(steps, space, known)
    stepwise, wholes = timed_subnets(supernet, chosen, drawn, images, timer or take_turns)
    noise = noise_of(wholes)
    times = _by_signature([known.of(one) for one in chosen], stepwise)
    lookups = [
        _lookup(step, space, {indices: times[known.of(a)[step.reads]] for indices, a in probes(step, space)})
        for step in steps
    ]
    sums = LatencyTable(
        format=FORMAT,
        model=space.model,
        space=fingerprint(space),
        lengths={choice.name: len(choice.values) for choice in space.values()},
        base=1,
        constant=sum(lookup.values[0] for lookup in lookups if not lookup.choices),
        lookups=tuple(lookup for lookup in lookups if lookup.choices),
        conditions=Conditions(
            str(device), torch.get_num_threads(), batch, tuple(image), describe(), len(chosen) + len(drawn), noise
        ),
    )
    factor = _factor(sums, space, drawn, [one.milliseconds for one in wholes])
    if _holds_whole(supernet):
        table = replace(sums, base=_of_largest(sums, space)).scaled(factor)
        return replace(table, base=_of_largest(table, space))
    return replace(sums, base=_whole(known, images, times, timer or take_turns)).scaled(factor)


def timed_subnets(
    supernet: Supernet,
    stepwise: Sequence[Architecture],
    wholes: Sequence[Architecture],
    images: Tensor,
    timer: Timer,
) -> tuple[list[list[StepTime]], list[StepTime]]:
    """What the steps of some sub-networks take, and what others take as a whole; as many take turns as fit."""
    found: list[list[StepTime]] = []
    every = [*((one, True) for one in stepwise), *((one, False) for one in wholes)]
    for part in _parts([held(one, supernet) for one, _ in every]):
        forwards = []
        for architecture, in_steps in (every[position] for position in part):
            subnet = supernet.extract(architecture).eval()
            runs = [step.run for _, step in supernet.steps(subnet, architecture)] if in_steps else [subnet]
            forwards.append(Forward(images, tuple(runs)))
        found += timer(forwards)
    return found[: len(stepwise)], [steps[0] for steps in found[len(stepwise) :]]


def noise_of(timed: Sequence[StepTime]) -> float:
    """Of typical times. Raises `LatencyError` where it says that the machine is busy."""
    noise = float(np.median([one.noise for one in timed]))
    if noise > MOST_NOISE:
        raise LatencyError(
            f"the same computation, timed again, takes {100 * noise:.0f} % more or less; allowed: "
            f"{100 * MOST_NOISE:.0f} %: end what else runs on this machine, and measure again"
        )
    return noise


def _parts(sizes: Sequence[int]) -> Iterator[range]:
    """Positions of what fits into `AT_ONCE` together, one part after the other."""
    start, total = 0, 0
    for position, size in enumerate(sizes):
        if position > start and total + size > AT_ONCE:
            yield range(start, position)
            start, total = position, 0
        total += size
    yield range(start, len(sizes))


def _by_signature(
    reads: Sequence[Mapping[tuple[str, ...], Signature]], timed: Sequence[Sequence[StepTime]]
) -> dict[Signature, float]:
    """Milliseconds of each step by its signature: the mean of all places where it occurs."""
    found: dict[Signature, list[float]] = defaultdict(list)
    for steps, times in zip(reads, timed, strict=True):
        for signature, one in zip(steps.values(), times, strict=True):
            found[signature].append(one.milliseconds)
    return {signature: float(np.mean(times)) for signature, times in found.items()}


def _holds_whole(supernet: Supernet) -> bool:
    """Whether the whole model is a sub-network of the space."""
    space, full = supernet.space, supernet.table.frame.axes
    return all(size == full[axis] for axis, size in space.sizes(space.largest).items())


def _of_largest(table: LatencyTable, space: SearchSpace) -> int:
    return int(table.additive(space)(space.as_table(space.largest))[0])


def _whole(known: Signatures, images: Tensor, times: Mapping[Signature, float], timer: Timer) -> int:
    """Nanoseconds of the steps of a model that is no sub-network of the space."""
    steps = known.supernet.family.steps(known.supernet.model)
    (timed,) = timer([Forward(images, tuple(step.run for step in steps))])
    # Steps that sub-networks have too take what they take there: the two must not differ by noise.
    own = known.of_whole.values()
    taken = [times.get(signature, one.milliseconds) for signature, one in zip(own, timed, strict=True)]
    return round(sum(taken) * NANOSECONDS)


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


def _factor(
    sums: LatencyTable, space: SearchSpace, architectures: Sequence[Architecture], milliseconds: Sequence[float]
) -> float:
    """By which sums are multiplied, so that whole sub-networks take what was measured: a pass whose steps are timed
    takes a little longer.
    """
    predicted = np.array([sums.milliseconds(space, architecture)[0] for architecture in architectures])
    return float(np.median(np.array(milliseconds) / predicted))
