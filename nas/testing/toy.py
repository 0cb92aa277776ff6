"""A toy problem without a model: a hand-made outline of a small ViT, its MACs in closed form, and an analytic accuracy
whose optimum is known.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nas.errors import LimitError
from nas.search import Objective, Problem, Search, Trial
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import DEPTH, EMBED, HEADS, MLP, TOKENS, axis_name
from nas.searchspaces.counting.factors import Additive, Factor
from nas.searchspaces.limit import Limit
from nas.searchspaces.outline import Outline
from nas.searchspaces.space import SearchSpace

COUNTED = ("macs", "params")
"""What the toy has a formula for."""
ACCURACY = Objective("accuracy", maximise=True)
MACS = Objective("macs", maximise=False)

PLAIN = """
model: toy
choices:
  heads: {size: [1, 2, 3], per: block}
  mlp: {size: [64, 128, 192], per: block}
"""
"""Six blocks: 531,441 architectures."""

TINY = """
model: toy
choices:
  heads: {size: [1, 2, 3], per: model}
  mlp: {size: [64, 128, 192], per: model}
"""
"""Nine architectures: every search of more trials must repeat some."""

COUPLED = """
model: toy
choices:
  depth: {depth: [3, 4, 6]}
  tokens: {keep: [0.25, 0.5, 1.0], per: block, order: never-grows}
  heads: {size: [1, 3], per: block}
  mlp: {size: [64, 192], per: block}
"""
"""Choices with rules: tokens never grow again, and the choices of a block that depth removes take their last value."""

BLOCKS = 6
UNITS: Mapping[str, int] = {HEADS: 3, MLP: 192, TOKENS: 17, DEPTH: 1}
"""Dimension -> units of it in each block of the base model."""
IMPORTANCE = np.array([0.3, 1.0, 0.5, 0.9, 0.2, 0.7])  # of heads; hidden units matter in the reverse order


def toy_outline() -> Outline:
    """A ViT of six blocks, 3 heads, 192 hidden units, 17 tokens of which one is a class token."""
    axes = {EMBED: 48}
    for block in range(BLOCKS):
        axes |= {_axis(kind, block): units for kind, units in UNITS.items()}
    return Outline(
        model="toy",
        axes=axes,
        protected={_axis(TOKENS, block): 1 for block in range(BLOCKS)},
        within={},
        elastic=frozenset(UNITS),
    )


@final
class Toy:
    """A search space with costs (`CostModel`) and accuracies. `table` is always (architectures, choices), indices of
    values.
    """

    def __init__(self, text: str = PLAIN) -> None:
        self.space = SearchSpace.from_yaml(text, outline=toy_outline())

    def additive(self, quantity: str) -> Additive:
        """MACs of the blocks plus those of a head, or parameters, which do not depend on tokens."""
        assert quantity in COUNTED, f"the toy counts {' and '.join(COUNTED)}, not {quantity}"
        return Additive(constant=10_000, factors=tuple(self._factor(quantity, block) for block in range(BLOCKS)))

    def reciprocal(self, quantity: str) -> tuple[str, float]:
        """It has none."""
        raise LimitError(f"the toy counts {' and '.join(COUNTED)}, not {quantity}")

    def base(self, quantity: str) -> int:
        """The cost of the largest architecture."""
        return int(self.additive(quantity)(self.space.to_table([self.space.largest]))[0])

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """MACs and parameters of one architecture."""
        table = self.space.to_table([architecture])
        return {quantity: int(self.additive(quantity)(table)[0]) for quantity in COUNTED}

    def accuracy(self, table: np.ndarray) -> np.ndarray:
        """Float array (architectures,), within (0, 1).

        More is better with falling returns. Heads and hidden units of a block help each other, and neighbours with
        unequal heads hurt, so that no choice can be decided by itself.
        """
        heads, mlp, tokens, alive = (self._sizes(table, kind) for kind in (HEADS, MLP, TOKENS, DEPTH))
        heads, mlp = heads / 3 * alive, mlp / 192 * alive
        own = IMPORTANCE * np.sqrt(heads) + IMPORTANCE[::-1] * np.sqrt(mlp) + 0.8 * heads * mlp
        clash = np.abs(np.diff(heads, axis=1)).sum(axis=1)
        return np.asarray(0.3 + 0.04 * (own * (tokens / 17) ** 0.25).sum(axis=1) - 0.03 * clash)

    def measure(self, architecture: Architecture) -> dict[str, float]:
        """What stands in for an evaluation: accuracy and loss."""
        accuracy = float(self.accuracy(self.space.to_table([architecture]))[0])
        return {"accuracy": accuracy, "loss": 1 - accuracy}

    def best(self, limit: Limit) -> float:
        """The best accuracy within the limit, by trying every architecture of the space. For spaces without rules, up
        to some 1e6.
        """
        counts = [len(choice.values) for choice in self.space.values()]
        table = np.stack([grid.ravel() for grid in np.meshgrid(*map(np.arange, counts), indexing="ij")], axis=1)
        assert len(table) == self.space.size, "this space has rules: not every row of values is an architecture"
        return float(self.accuracy(table)[limit.allows(table)].max())

    def problem(
        self,
        *,
        trials: int,
        seed: int = 0,
        limit: Limit | None = None,
        objectives: Sequence[Objective] = (ACCURACY,),
        prior: Sequence[Trial] = (),
        run: str = "",
    ) -> Problem:
        """A problem for a strategy."""
        return Problem(
            space=self.space,
            objectives=tuple(objectives),
            strategy="toy",
            seed=seed,
            trials=trials,
            limit=limit,
            prior=prior,
            run=run,
        )

    def search(
        self,
        *,
        measure: Callable[[Architecture], Mapping[str, float]] | None = None,
        history: Sequence[Trial] = (),
        **asked: Any,
    ) -> Search:
        """A search of the problem that `asked` describes (see `problem`); nothing is stored but its history."""
        return Search(
            problem=self.problem(**asked),
            measure=measure or Steady(self.measure),
            counts=self.counts,
            record=lambda _: None,
            history=list(history),
        )

    def _factor(self, quantity: str, block: int) -> Factor:
        """The cost of one block, for all values of the choices that set its axes."""
        axes = {_axis(kind, block): kind for kind in UNITS}
        choices = {
            position: choice for position, choice in enumerate(self.space.values()) if axes.keys() & set(choice.axes)
        }
        costs = np.zeros([len(choice.values) for choice in choices.values()], dtype=np.int64)
        for values in itertools.product(*(range(len(choice.values)) for choice in choices.values())):
            sizes = dict(UNITS)
            for choice, value in zip(choices.values(), values, strict=True):
                sizes |= {axes[axis]: size for axis, size in choice.sizes[value].items() if axis in axes}
            rows = sizes[TOKENS] if quantity == "macs" else 1
            costs[values] = sizes[DEPTH] * rows * 48 * (4 * 16 * sizes[HEADS] + 2 * sizes[MLP])
        return Factor(choices=tuple(choices), table=costs)

    def _sizes(self, table: np.ndarray, kind: str) -> np.ndarray:
        """Float array (architectures, blocks): sizes of the axes of a dimension."""
        sizes = np.full((len(table), BLOCKS), float(UNITS[kind]))
        for position, choice in enumerate(self.space.values()):
            for block in range(BLOCKS):
                axis = _axis(kind, block)
                if axis in choice.axes:
                    by_value = np.array([size[axis] for size in choice.sizes], dtype=np.float64)
                    sizes[:, block] = by_value[table[:, position]]
        return sizes


def _axis(kind: str, block: int) -> str:
    return axis_name(kind, str(block))


@final
@dataclass(frozen=True)
class Steady:
    """A measure that finds the same on any share of the images."""

    measure: Callable[[Architecture], Mapping[str, float]]

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """What it finds."""
        return self.measure(architecture)

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        """The same metrics on every share."""
        metrics = self.measure(architecture)
        yield from itertools.repeat(metrics, len(shares))


@final
@dataclass(frozen=True)
class ToyMeasure:
    """A toy's measure that travels to other processes, and knows shares of images: on a part of them it errs by up to
    `noise`. Every `fails`-th architecture raises; a `lethal` file that is not there is made, and the process killed.
    Measuring takes `seconds`, and is noted in the file `calls`, with the process.
    """

    toy: Toy
    noise: float = 0.0
    fails: int = 0
    lethal: str = ""
    seconds: float = 0.0
    calls: str = ""

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """Whole."""
        if self.calls:
            with Path(self.calls).open("a") as file:
                file.write(f"{architecture.digest} {os.getpid()}\n")
        time.sleep(self.seconds)
        if self.lethal and not Path(self.lethal).exists():
            Path(self.lethal).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails and int(architecture.digest, 16) % self.fails == 0:
            raise RuntimeError("no memory")
        return self.toy.measure(architecture)

    def stages(self, architecture: Architecture, shares: Sequence[float]) -> Iterator[Mapping[str, float]]:
        """Metrics on growing shares of the images, on part of them with an error."""
        whole = self(architecture)
        error = self.noise * (int(architecture.digest, 16) % 1000 / 1000 - 0.5)
        for share in shares:
            yield {**whole, "accuracy": whole["accuracy"] + error * (1 - share)}
