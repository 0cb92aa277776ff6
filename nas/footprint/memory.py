"""The memory of every architecture of a space: its weights, and the fullest moment of a pass of a batch.

A pass goes through steps, each decided by few choices. Weights are a sum over all of them; of what is alive besides,
the fullest moment counts, so it is the greatest of what single steps need: `Additive.moments`. Each step is traced at
every combination of the choices that decide it, those of all steps in few passes; then random sub-networks are traced
as a whole, and a space of which this is not true is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import pairwise, product
from math import prod
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import FootprintError
from nas.footprint.tracing import StepBytes, Tracer
from nas.searchspaces import Additive, Architecture, Factor, SearchSpace
from nas.supernets.chosen_steps import ChosenStep, chosen_steps, fitted
from nas.supernets.cost import Cost, Tabulated
from nas.supernets.of_space import cost_of, fingerprint, image_of
from nas.system import user_cache

VERSION = 1
"""Of what is remembered."""
MOST = 512
"""Combinations of choices at which one step is traced."""
CHECKS = 6
"""Random sub-networks that are traced as a whole."""
FLOAT = 4
"""Bytes of a parameter."""


@final
@dataclass(frozen=True)
class ByChoices:
    """Bytes by the values of some choices, the last one fastest."""

    choices: list[int]
    bytes: list[int]

    def factor(self, space: SearchSpace) -> Factor:
        """The same as a factor of a sum."""
        lengths = [space.n_values[choice] for choice in self.choices]
        return Factor(tuple(self.choices), np.array(self.bytes, np.int64).reshape(lengths))


@final
@dataclass(frozen=True)
class Needs:
    """What sub-networks need beside their parameters: always, in buffers, and in each step; and all of the base."""

    always: int
    buffers: list[ByChoices]
    moments: list[ByChoices]
    base: int

    def memory(self, space: SearchSpace, cost: Cost) -> Tabulated:
        """With the parameters, as `Cost.beside` takes it."""
        params = cost.additive("params").times(FLOAT)
        buffers, moments = (tuple(one.factor(space) for one in of) for of in (self.buffers, self.moments))
        return Tabulated(Additive(params.constant + self.always, (*params.factors, *buffers), moments), self.base)


def memory_of(space: SearchSpace, batch: int) -> Tabulated:
    """Bytes of a pass of a batch, without gradients: float32 weights, buffers, images, and what is alive beside them at
    the fullest moment, with eager torch on a processor. What an operation needs within itself is not among them.

    Raises `FootprintError` for a space whose steps are decided by too many choices, or by others than they should be.
    """
    image, cost = image_of(space), cost_of(space)
    versions = {name: version(name) for name in ("torch", "timm")}
    about = {"memory": VERSION, "space": fingerprint(space), "image": list(image), "batch": batch, **versions}
    needs = user_cache.recall(Needs, about)
    if needs is None:
        needs = _Traces(Tracer(space, image, batch), cost, FLOAT * batch * prod(image)).needs()
        user_cache.remember(needs, about)
    return needs.memory(space, cost)


@final
@dataclass
class _Traces:
    """What passes through a space's sub-networks have shown so far; `images` are the bytes of what goes in."""

    tracer: Tracer
    cost: Cost
    images: int
    steps: list[ChosenStep] = field(init=False)
    _kinds: list[Hashable] = field(init=False)
    _known: dict[Hashable, StepBytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        space = self.cost.space
        self.steps = _with_what_arrives(chosen_steps(self.tracer.supernet), space)
        largest = self.tracer.of(space.largest, self.steps)
        # Blocks that are alike are alike at all sizes; the first one of all begins with less in memory.
        self._kinds = [
            (
                self.tracer.shapes(step),
                tuple(str(list(space.values())[position].sizes[0].values()) for position in step.choices),
                tuple(space.n_values[position] for position in step.choices),
                largest.steps[step.reads].entry,
            )
            for step in self.steps
        ]

    def needs(self) -> Needs:
        """All of it. Raises `FootprintError` as `memory_of` does."""
        space = self.cost.space
        for step in self.steps:
            ways = prod(space.n_values[choice] for choice in step.choices)
            if ways > MOST:
                raise FootprintError(
                    f"memory of {space.model}: {len(step.choices)} choices decide one step of its forward, in {ways:,} "
                    f"ways; allowed: {MOST}"
                )
        for architecture in self._covering():
            self._trace(architecture)
        found = [self._tables(position) for position in range(len(self.steps))]
        whole = self.tracer.whole(self.steps)
        largest = self.tracer.of(space.largest, self.steps)
        beside = largest.held - FLOAT * self.cost.params(space.largest)[0]
        always = int(beside - sum(step.buffers for step in largest.steps.values())) + self.images
        needs = Needs(always, [b for b, _ in found], [m for _, m in found], whole.bytes + self.images)
        self._check(needs)
        return needs

    def _check(self, needs: Needs) -> None:
        """Raises `FootprintError` where random sub-networks need something else than is said of them."""
        space, rng = self.cost.space, np.random.default_rng(0)
        memory = needs.memory(space, self.cost).additive
        for architecture in (space.sample(rng) for _ in range(CHECKS)):
            said, traced = int(memory(space.as_table(architecture))[0]), self.tracer.of(architecture, self.steps).bytes
            if said != traced + self.images:
                raise FootprintError(
                    f"memory of {space.model}: a sub-network needs {traced + self.images:,} bytes, and its steps one "
                    f"by one {said:,}: it keeps what its steps do not tell; it is known for models whose blocks are "
                    "steps of their own"
                )

    def _covering(self) -> Iterator[Architecture]:
        """Sub-networks in which each step occurs at every combination, all steps at once as far as that goes."""
        space = self.cost.space
        lengths = space.n_values
        ways = [list(product(*(range(lengths[c]) for c in step.choices))) for step in self.steps]
        for turn in range(max(map(len, ways))):
            wanted: dict[int, int] = {}
            for offset, (step, of) in enumerate(zip(self.steps, ways, strict=True)):
                for choice, index in zip(step.choices, of[(turn + offset) % len(of)], strict=True):
                    wanted.setdefault(choice, index)
            yield self._fitted(wanted)
        for position, step in enumerate(self.steps):
            for way in ways[position]:
                yield self._fitted(dict(zip(step.choices, way, strict=True)))

    def _fitted(self, wanted: dict[int, int]) -> Architecture:
        space = self.cost.space
        return fitted([wanted.get(c, length - 1) for c, length in enumerate(space.n_values)], space)

    def _keys(self, architecture: Architecture) -> list[Hashable]:
        """By which what a step needs is known: its kind, and the values of the choices that decide it."""
        (row,) = self.cost.space.as_table(architecture)
        return [(kind, *row[list(step.choices)].tolist()) for kind, step in zip(self._kinds, self.steps, strict=True)]

    def _trace(self, architecture: Architecture) -> None:
        """Adds what a pass shows, where something is not known yet."""
        keys = self._keys(architecture)
        if all(key in self._known for key in keys):
            return
        trace = self.tracer.of(architecture, self.steps)
        for key, step in zip(keys, self.steps, strict=True):
            if step.reads in trace.steps:
                self._known.setdefault(key, trace.steps[step.reads])

    def _tables(self, position: int) -> tuple[ByChoices, ByChoices]:
        """Buffers and live bytes of a step, by its choices; 0 where it is left out."""
        step, space = self.steps[position], self.cost.space
        lengths = [space.n_values[choice] for choice in step.choices]
        every = [self._fitted(dict(zip(step.choices, way, strict=True))) for way in np.ndindex(*lengths)]
        found = [self._known[self._keys(architecture)[position]] for architecture in every]
        return tuple(
            self._left_out(step, np.array(values, np.int64).reshape(lengths))
            for values in ([one.buffers for one in found], [one.live for one in found])
        )  # type: ignore[return-value]

    def _left_out(self, step: ChosenStep, table: NDArray[np.int64]) -> ByChoices:
        choices = list(step.choices)
        if step.depth:
            leaving, choice = next(
                (c, choice) for c, choice in enumerate(self.cost.space.values()) if step.depth in choice.axes
            )
            stays = np.array([sizes[step.depth] for sizes in choice.sizes], np.int64)
            table, choices = table[..., None] * stays, [*choices, leaving]
        return ByChoices(choices, table.ravel().tolist())


def _with_what_arrives(steps: Sequence[ChosenStep], space: SearchSpace) -> list[ChosenStep]:
    """The steps, decided also by what arrives at them: where sizes may not grow along the model, by the choice before
    theirs.
    """
    chains: dict[str, list[int]] = {}
    for position, choice in enumerate(space.values()):
        if choice.chain:
            chains.setdefault(choice.chain, []).append(position)
    before = {second: first for links in chains.values() for first, second in pairwise(links)}
    return [
        replace(step, choices=tuple(sorted({*step.choices, *(before[c] for c in step.choices if c in before)})))
        for step in steps
    ]
