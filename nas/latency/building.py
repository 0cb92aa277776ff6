"""A table of latencies: sub-networks are timed, step by step and as a whole, at some sizes of each step; all others lie
between them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from sklearn.isotonic import isotonic_regression

from nas.latency.checking import Prediction, accuracy
from nas.latency.correcting import Work, corrected, guessed
from nas.latency.design import Signature, Signatures, at_levels, designed, evenly
from nas.latency.devices import Device, options_of
from nas.latency.passes import Passes, noise_of
from nas.latency.probes import Indexed, grows, levels_of, probes, sizes_of
from nas.latency.table import ENERGY, FORMAT, NANOSECONDS, Conditions, LatencyTable, TimeLookup
from nas.latency.timing import SECONDS, StepTime
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.supernets.chosen_steps import ChosenStep, chosen_steps
from nas.supernets.of_space import fingerprint
from nas.system.environment import describe

WHOLE = 80
"""Sub-networks that are timed as a whole, beside those that hold every step at every size."""
TURNS = 4
"""Over all choices, until times grow along each of them."""


@final
@dataclass(frozen=True, eq=False)
class TriedTable:
    """A table, and how it did on sub-networks that it was not made from: on random ones, which lie in the middle of the
    space mostly, and on others that lie evenly from the smallest to the largest; None where none were asked for.
    """

    table: LatencyTable
    prediction: Prediction | None
    even: Prediction | None


@torch.inference_mode()
def measured_table(
    supernet: Supernet,
    image: Sequence[int],
    device: Device,
    *,
    check: int = 0,
    seconds: float = SECONDS,
    seed: int = 0,
    energy: bool = False,
) -> TriedTable:
    """The table of a supernet (on the processor, in float32) for images (channels x height x width) on a device, held
    against `check` random sub-networks and as many evenly spread ones, which are timed in turns with those that it is
    made from. `seconds` are for as many sub-networks as fit into memory together. With `energy` it is one of energy, of
    passes as a whole.

    Raises `LatencyError` where the device cannot run them, or where times spread so far that they say nothing.
    """
    device = device.settled()
    device.check()
    if energy:
        device.meter()
    stepwise = device.stepwise and not energy
    supernet.eval()
    space, steps = supernet.space, chosen_steps(supernet)
    images = torch.randn(device.batch, *image, generator=torch.Generator().manual_seed(seed))
    passes = Passes(supernet, device, images, energy)
    known = passes.signatures
    chosen = designed(steps, space, known)
    # Of those that hold every step, whole passes are needed only where no steps are timed.
    whole = list(dict.fromkeys([*at_levels(steps, space, WHOLE, seed), *([] if stepwise else chosen)]))
    rng = np.random.default_rng(seed + 1)
    unseen = [*(space.sample(rng) for _ in range(check)), *evenly(supernet, check, rng)]
    timed = passes.timed(chosen if stepwise else [], [*whole, *unseen], seconds)
    noise = noise_of(timed.whole)
    occurring = [Counter(known.of(one).values()) for one in whole]
    milliseconds = np.array([one.milliseconds for one in timed.whole[: len(whole)]])
    reads = [known.of(one) for one in chosen]
    if stepwise:
        guesses = _by_signature(reads, [[one.milliseconds for one in steps] for steps in timed.steps])
    else:
        work = _by_signature(reads, [passes.work(one) for one in chosen])
        guesses = guessed(work, occurring, milliseconds)
    kinds = [frozenset(known.of(a)[step.reads] for _, a in probes(step, space)) for step in steps]
    times = corrected(guesses, kinds, occurring, milliseconds)
    conditions = Conditions(
        options_of(device), dict(device.about), tuple(image), describe(), len(chosen) + len(timed.whole), noise
    )
    table = _based(_table(space, steps, known, times, conditions), supernet, timed.model)
    table = replace(table, quantity=ENERGY) if energy else table
    if not check:
        return TriedTable(table, None, None)
    shown = Prediction.of(table.milliseconds(space, unseen), timed.whole[len(whole) :])
    random, even = shown[:check], shown[check:]
    return TriedTable(replace(table, accuracy=accuracy(random, even)), random, even)


def _table(
    space: SearchSpace,
    steps: Sequence[ChosenStep],
    known: Signatures,
    times: Mapping[Signature, float],
    conditions: Conditions,
) -> LatencyTable:
    """The sum of what steps take, by their signatures."""
    lookups = [
        _lookup(step, space, {indices: times[known.of(a)[step.reads]] for indices, a in probes(step, space)})
        for step in steps
    ]
    return LatencyTable(
        format=FORMAT,
        model=space.model,
        space=fingerprint(space),
        lengths={choice.name: len(choice.values) for choice in space.values()},
        base=1,
        constant=sum(lookup.values[0] for lookup in lookups if not lookup.choices),
        lookups=tuple(lookup for lookup in lookups if lookup.choices),
        conditions=conditions,
    )


def _based(table: LatencyTable, supernet: Supernet, model: StepTime) -> LatencyTable:
    """The same table in whole parts of the whole model's time: what the table says of it, where it is a sub-network of
    the space, or what was timed.
    """
    space, full = supernet.space, supernet.table.frame.axes
    if any(size != full[axis] for axis, size in space.sizes(space.largest).items()):
        return replace(table, base=round(model.milliseconds * NANOSECONDS)).in_parts()

    def of_largest(table: LatencyTable) -> int:
        return int(table.additive(space)(space.as_table(space.largest))[0])

    table = replace(table, base=of_largest(table)).in_parts()
    return replace(table, base=of_largest(table))


def _by_signature(
    reads: Sequence[Mapping[tuple[str, ...], Signature]], of_steps: Sequence[Sequence[float | Work]]
) -> dict[Signature, Any]:
    """What is known of each step by its signature: the mean of all places where it occurs."""
    found: dict[Signature, list[float | Work]] = defaultdict(list)
    for steps, values in zip(reads, of_steps, strict=True):
        for signature, one in zip(steps.values(), values, strict=True):
            found[signature].append(one)
    return {signature: np.mean(values, axis=0) for signature, values in found.items()}


def _lookup(step: ChosenStep, space: SearchSpace, times: Indexed) -> TimeLookup:
    """Nanoseconds of a step for all values of the choices that decide it, and 0 where it is left out."""
    choices = list(space.values())
    table, names = _interpolated(step, space, times), [choices[position].name for position in step.choices]
    if step.depth:
        leaving = next(choice for choice in choices if step.depth in choice.axes)
        stays = np.array([sizes[step.depth] for sizes in leaving.sizes], dtype=np.float64)
        table, names = table[..., None] * stays, [*names, leaving.name]
    return TimeLookup(tuple(names), tuple(np.rint(table * NANOSECONDS).astype(np.int64).ravel().tolist()))


def _interpolated(step: ChosenStep, space: SearchSpace, times: Indexed) -> NDArray[np.float64]:
    """Milliseconds for every combination of values, never less for more units; of bits, what was measured."""
    levels = levels_of(step, space)
    measured = np.array([times[indices] for indices in product(*(of.tolist() for of in levels))])
    growing = [d for d, position in enumerate(step.choices) if grows(position, space)]
    measured = _growing(measured.reshape([len(of) for of in levels]), growing)
    # A choice of a single value is no dimension to interpolate along.
    several = [d for d, of in enumerate(levels) if len(of) > 1]
    sizes = [sizes_of(position, space) for position in step.choices]
    if not several:
        return measured
    known = RegularGridInterpolator([sizes[d][levels[d]] for d in several], measured.squeeze())
    wanted = np.meshgrid(*(sizes[d] for d in several), indexing="ij")
    every: NDArray[np.float64] = known(np.stack(wanted, axis=-1))
    return every.reshape([len(of) for of in sizes])


def _growing(table: NDArray[np.float64], dimensions: Sequence[int]) -> NDArray[np.float64]:
    """The nearest times, about, that do not shrink along some dimensions: what shrinks there is noise of the
    measurement.
    """
    for _ in range(TURNS):
        for dimension in dimensions:
            table = np.apply_along_axis(isotonic_regression, dimension, table)
    return table
