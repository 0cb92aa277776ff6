"""Patch Slimming: from the last block to the first, the fewest tokens that leave the next block as it was (Tang et al.,
arXiv 2106.02852, algorithm 1).

A block starts with the tokens of the block after it, and grows by the most important others until the output of that
next block, on the tokens it computes, is within the tolerance; meanwhile the block alone is fine-tuned on cached
inputs. Earlier blocks are still whole then, so the inputs are those of the original model. Ours differs: the error is
relative by default, attention maps are those of the original model, and a limit is met by raising the tolerance.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from nas.errors import StrategyError
from nas.importance.patch_impact import PatchImpact
from nas.importance.recording import calibration, recorded
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.choices.base import Choice
from nas.searchspaces.outline import family, index
from nas.searchspaces.space import SearchSpace
from nas.strategies.adopting import Adopting, Learnt
from nas.strategies.problem import Problem
from nas.supernets import Supernet
from nas.training import Epoch, History, Recipe, Session, StepContext, fit
from nas.training.activations import Activations
from nas.training.evaluate import evaluating
from nas.training.workplace import Workplace

TUNING = Recipe(epochs=3, lr=1e-4, batch=64, warmup=0)
STEEPER = 1.5
"""By how much the tolerance rises while the limit is not met."""


@final
@dataclass(frozen=True, kw_only=True)
class Tolerance(Adopting):
    """Chooses the queries of every block; all other choices stay at their largest value.

    tolerance    greatest error of the next block; where the study has a limit, the least of this times 1.5, 2.25, ...
                 that meets it
    grow         tokens that a block gains at a time
    error        of the next block's output: squared, over the squared original (relative), per element (mse), or per
                 image (sum)
    training     of one block, after each growth
    importance   scores of the tokens
    """

    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.02
    grow: Annotated[int, Field(ge=1)] = 10
    error: Literal["relative", "mse", "sum"] = "relative"
    training: Recipe = TUNING
    importance: PatchImpact = field(default_factory=PatchImpact)

    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"grow": 1, "training": {"epochs": 1, "batch": 16}, "importance": {"images": 32}},
    )

    def check(self, problem: Problem) -> None:
        """Raise `StrategyError` for a space without a choice of queries per block, or a limit that none meets."""
        choices = _choices(problem.space)
        if set(choices) != {index(axis) for axis in problem.space.outline.families.get("queries", ())} or not choices:
            windowed = (
                ""
                if choices or "queries" in problem.space.outline.families
                else ("; windowed models, such as Swin, have none: a window needs all of its positions")
            )
            raise StrategyError(
                f"{problem.strategy}: the space chooses no queries per block, such as queries: {{keep: {{from: 1, "
                f"to: 197, step: 4}}, drop: true}}{windowed}"
            )
        if problem.limit is not None and not problem.limit.allows(_smallest(problem.space)):
            raise StrategyError(
                f"{problem.strategy}: the fewest tokens everywhere do not meet the limit ({problem.limit.describe()}), "
                "and all other choices stay whole: raise the limit, or give the choice smaller values"
            )

    def learn(self, problem: Problem, supernet: Supernet) -> Learnt:
        """See `Adopting.learn`."""
        assert problem.work is not None
        for attempt in itertools.count():
            slimming = _Slimming(self, self.tolerance * STEEPER**attempt, copy.deepcopy(supernet), problem.work)
            architecture = slimming.run()
            if problem.allows(architecture):
                break
        supernet.load_state_dict(slimming.supernet.state_dict())
        supernet.selection.load(slimming.supernet.selection.state())
        return Learnt(architecture, History(tuple(slimming.epochs)), slimming.notes())


@final
class _Slimming:
    """One pass from the last block to the first, at one tolerance."""

    def __init__(self, options: Tolerance, tolerance: float, supernet: Supernet, work: Workplace) -> None:
        self.options, self.tolerance, self.supernet, self.work = options, tolerance, supernet, work
        self.original: nn.Module = copy.deepcopy(supernet.model).eval()
        self.choices = _choices(supernet.space)
        self.row = supernet.space.to_table([supernet.space.largest])
        self.errors: dict[str, float] = {}
        self.variation: dict[str, float] = {}
        self.epochs: list[Epoch] = []

    def run(self) -> Architecture:
        """The architecture; the supernet's blocks are tuned to it, and their orders remembered."""
        *others, last = self.choices
        self._take(last, 0)
        after = last
        for block in reversed(others):
            start = time.perf_counter()
            self._order(block)
            self.errors[block] = error = self._grown(block, after)
            seconds = time.perf_counter() - start
            self.epochs.append(Epoch(len(self.epochs) + 1, error, self.options.training.lr, seconds))
            after = block
        return self.architecture

    @property
    def architecture(self) -> Architecture:
        """As far as it is decided: earlier blocks are whole."""
        return self.supernet.space.from_table(self.row)[0]

    def notes(self) -> dict[str, Any]:
        """What the report draws: positions that each block computes, errors, and how much scores vary over images."""
        return {
            "tolerance": self.tolerance,
            "positions": {block: self._positions(f"queries.{block}") for block in self.choices},
            "errors": {block: round(error, 6) for block, error in self.errors.items()},
            "variation": {block: round(value, 4) for block, value in self.variation.items()},
        }

    def _order(self, block: str) -> None:
        """Sort a block's tokens: those that later blocks compute, then by their impact."""
        masks = {later: self._positions(f"queries.{later}") for later in self.choices if self._is_set(later)}
        impacts = self.options.importance.impacts(self.supernet, self.work, masks)[block]
        scores, spread = impacts.mean(0), impacts.std(0, correction=0)
        self.variation[block] = float((spread / scores.clamp_min(1e-30)).mean())
        after = min(masks, key=list(self.choices).index)
        kept = torch.zeros(len(scores)).index_fill(0, torch.tensor(masks[after]), 1.0)
        self.supernet.reorder({f"queries.{block}": scores + kept * (scores.max() + 1)})

    def _grown(self, block: str, after: str) -> float:
        """Grow a block until the error of the block after it is within the tolerance; returns that error."""
        sizes = [size[f"queries.{block}"] for size in self.choices[block].sizes]
        least = len(self._positions(f"queries.{after}"))
        place = next(i for i, size in enumerate(sizes) if size >= least)
        data = self._cached(block, after)
        while True:
            self._take(block, place)
            pair = _Pair(self, block, after)
            pair.tune(data)
            error = pair.measured(data)
            if error <= self.tolerance or place == len(sizes) - 1:
                return error
            wanted = sizes[place] + self.options.grow
            place = next((i for i, size in enumerate(sizes) if size >= wanted), len(sizes) - 1)

    @torch.no_grad()
    def _cached(self, block: str, after: str) -> Activations:
        """What the original model gives to a block, and what the block after it makes of that."""
        paths = self.supernet.table.frame.blocks
        indices = list(paths)
        place = indices.index(after) + 1
        first = self.original.get_submodule(paths[block])
        behind = self.original.get_submodule(paths[indices[place]] if place < len(indices) else "norm")
        device = next(self.supernet.parameters()).device
        inputs, targets = [], []
        for images in calibration(self.work, self.options.importance.images, self.options.importance.batch):
            with recorded((first, behind)) as found:
                self.original(images.to(device))
            inputs.append(found[first].cpu())
            targets.append(found[behind].cpu())
        return Activations(torch.cat(inputs), torch.cat(targets), f"inputs of block {block}")

    def _take(self, block: str, value: int) -> None:
        self.row[0, list(self.supernet.space).index(self.choices[block].name)] = value

    def _is_set(self, block: str) -> bool:
        return block in self.errors or block == list(self.choices)[-1]

    def _positions(self, axis: str) -> list[int]:
        """Positions that the architecture, as far as it is decided, keeps of an axis of tokens."""
        kept = self.supernet.selection.kept(self.supernet.space.sizes(self.architecture))
        return kept[axis].tolist() if axis in kept else list(range(self.supernet.table.frame.axes[axis]))


@final
class _Pair:
    """A block and the one after it: the first learns to leave the second as it was."""

    def __init__(self, slimming: _Slimming, block: str, after: str) -> None:
        self.slimming = slimming
        frame = slimming.supernet.table.frame
        self.paths = frame.blocks[block], frame.blocks[after]
        self.computed = slimming._positions(f"queries.{after}")
        present = slimming._positions(f"tokens.{after}")
        self.rows = [present.index(position) for position in self.computed]

    def tune(self, data: Activations) -> None:
        """Train the first block alone."""
        supernet, options = self.slimming.supernet, self.slimming.options
        supernet.requires_grad_(False)
        supernet.model.get_submodule(self.paths[0]).requires_grad_(True)
        work = self.slimming.work
        session = Session(device=work.session.device, title=f"{work.session.title} {self.paths[0]}", progress=False)
        fit(supernet, self, data, options.training, seed=work.seed, session=session)

    def __call__(self, inputs: Tensor, targets: Tensor, context: StepContext) -> Iterator[Tensor]:  # noqa: ARG002
        """The step of `fit`: yields the error."""
        yield self._error(inputs, targets)

    @torch.no_grad()
    def measured(self, data: Activations) -> float:
        """Mean error over all cached inputs."""
        supernet = self.slimming.supernet
        device = next(supernet.parameters()).device
        total = 0.0
        with evaluating(supernet):
            for inputs, targets in data.batches(self.slimming.options.importance.batch, device=device):
                total += float(self._error(inputs, targets)) * len(inputs)
        return total / len(data)

    def _error(self, inputs: Tensor, targets: Tensor) -> Tensor:
        small = self.slimming.supernet.subnet(self.slimming.architecture)
        first, second = (small.get_submodule(path) for path in self.paths)
        found, wanted = second(first(inputs))[:, self.rows], targets[:, self.computed]
        squared = (found - wanted).square()
        error: Tensor = squared.mean((1, 2)) if self.slimming.options.error == "mse" else squared.sum((1, 2))
        if self.slimming.options.error == "relative":
            error = error / wanted.square().sum((1, 2))
        return error.mean()


def _choices(space: SearchSpace) -> dict[str, Choice]:
    """Block -> the choice of its queries alone; first block first."""
    found = {}
    for choice in space.values():
        axes = [axis for axis in choice.axes if family(axis) == "queries"]
        if len(axes) == 1:
            found[index(axes[0])] = choice
    return found


def _smallest(space: SearchSpace) -> Architecture:
    """The largest architecture, but with the fewest queries."""
    fewest = {choice.name: choice.values[0] for choice in _choices(space).values()}
    return Architecture({**space.largest, **fewest})
