"""Which sub-networks are timed: few in which every step occurs at every size at which it is to be measured."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import LimitError
from nas.latency.probes import combinations, grows, levels_of, probes
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet
from nas.supernets.chosen_steps import ChosenStep, fitted
from nas.supernets.families._base import Piece

TIMES = 2
"""How often each occurs, at least, where sub-networks can be found for it."""

BANDS = 10
"""Of MACs, from which as many sub-networks are drawn each."""

EVEN = 0.5
"""The chance of either of two values."""


@final
class Signature(NamedTuple):
    """By which steps are known that compute the same on tensors of the same shapes.

    holds     the classes and the tensors that it computes with
    takes     the shape of what goes into it, without the batch
    deciding  sizes of axes that decide what it computes: how many tokens it drops is seen in no shape
    """

    holds: Hashable
    takes: tuple[int, ...]
    deciding: tuple[int, ...]


@final
@dataclass
class Signatures:
    """The signatures of the steps of sub-networks; `image` is a batch of one."""

    supernet: Supernet
    image: Tensor
    _known: dict[Architecture, dict[tuple[str, ...], Signature]] = field(default_factory=dict)

    def of(self, architecture: Architecture) -> Mapping[tuple[str, ...], Signature]:
        """What each step reads -> its signature, in the order of the forward."""
        if architecture not in self._known:
            subnet, sizes = self.supernet.subnet(architecture), self.supernet.space.sizes(architecture)
            self._known[architecture] = self._of(subnet, sizes)
        return self._known[architecture]

    @cached_property
    def model(self) -> Mapping[tuple[str, ...], Signature]:
        """The same of the whole model."""
        return self._of(self.supernet.model, {})

    def _of(self, model: nn.Module, sizes: Mapping[str, int]) -> dict[tuple[str, ...], Signature]:
        found: dict[tuple[str, ...], Signature] = {}
        frame, x = self.supernet.table.frame, self.image
        for step in self.supernet.family.steps(model):
            deciding = tuple(frame.size(axis, sizes) for axis in self.supernet.deciding(step))
            found[step.reads] = Signature(_shapes(model, step), tuple(x.shape[1:]), deciding)
            x = step.run(x)
        return found


def designed(steps: Sequence[ChosenStep], space: SearchSpace, known: Signatures) -> list[Architecture]:
    """Sub-networks in which every step occurs at all its levels: of those that vary all steps at once, and those that
    vary a single one, always the one that adds most.
    """
    wanted: Counter[Signature] = Counter()
    candidates: dict[Architecture, None] = dict.fromkeys(_together(steps, space))
    for step in steps:
        for _, architecture in probes(step, space):
            candidates[architecture] = None
            wanted[known.of(architecture)[step.reads]] = TIMES
    offered = {one: Counter(known.of(one).values()) for one in candidates}
    chosen: list[Architecture] = []
    while wanted and offered:
        best = max(offered, key=lambda one: sum((offered[one] & wanted).values()))
        adds = offered.pop(best) & wanted
        if not adds:
            break
        chosen.append(best)
        wanted -= adds
    return chosen


def at_levels(steps: Sequence[ChosenStep], space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Random sub-networks, in which all steps have sizes at which they are measured: from the smallest to the largest,
    since a limit asks for what uniform draws hardly ever are. Bits are drawn evenly among all of them: so what they
    take is told apart from what sizes take.
    """
    shared: dict[int, set[int]] = {}
    for step in steps:
        for position, levels in zip(step.choices, levels_of(step, space), strict=True):
            shared[position] = shared.get(position, set(levels.tolist())) & set(levels.tolist())
    rng = np.random.default_rng(seed)
    allowed = [sorted(shared.get(k, range(len(choice.values)))) for k, choice in enumerate(space.values())]
    # With a chance of 0 to grow all are the smallest, with 1 the largest, with one half most are in the middle.
    chances = np.linspace(0, 1, count)
    growing = [grows(position, space) for position in range(len(allowed))]

    def drawn(chance: float) -> list[int]:
        ways = zip(allowed, growing, strict=True)
        return [of[rng.binomial(len(of) - 1, chance if grown else EVEN)] for of, grown in ways]

    rows = np.array([drawn(chance) for chance in chances])
    return space.from_table(space.canonical(rows))


def evenly(supernet: Supernet, count: int, rng: np.random.Generator) -> list[Architecture]:
    """The smallest sub-network, the largest, and random ones that lie evenly between them by their MACs, about `count`
    in all: most that are drawn from all lie in the middle, and limits ask for what lies outside of it.
    """
    space, cost = supernet.space, supernet.cost
    found = [space.smallest, space.largest]
    least, most = cost.macs(found)
    between = count - len(found)
    bands = max(1, min(BANDS, between))
    for band, (low, high) in enumerate(pairwise(np.linspace(least, most, bands + 1))):
        with contextlib.suppress(LimitError):  # nothing is there
            limit = Limit(cost, macs=(float(low), float(high)))
            found += [space.sample(rng, limit) for _ in range(band, between, bands)]
    return found


def _together(steps: Sequence[ChosenStep], space: SearchSpace) -> Iterator[Architecture]:
    """As many sub-networks as any step has combinations of levels; each step has another one in each of them."""
    every = [combinations(step, space) for step in steps]
    choices = list(space.values())
    for turn in range(max(map(len, every), default=0)):
        wanted: dict[int, int] = {}
        for offset, (step, of) in enumerate(zip(steps, every, strict=True)):
            for position, index in zip(step.choices, of[(turn + offset) % len(of)], strict=True):
                wanted.setdefault(position, index)
        yield fitted([wanted.get(position, len(choice.values) - 1) for position, choice in enumerate(choices)], space)


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


def held(architecture: Architecture, supernet: Supernet) -> int:
    """Bytes of a sub-network's parameters."""
    return int(supernet.cost.params(architecture)[0]) * torch.finfo(torch.float32).bits // 8
