"""One pass of Patch Slimming over the blocks, from the last to the first; see `nas.strategies.tolerance.strategy`."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.data.activations import Activations
from nas.evaluation.evaluate import evaluating
from nas.importance._recording import inputs_of
from nas.importance.patch_impact import PatchImpact
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import QUERIES, TOKENS, axis_name, dimension, index
from nas.searchspaces.choices._base import Choice
from nas.searchspaces.space import SearchSpace
from nas.strategies.tolerance.pair import BlockPair, Error
from nas.strategies.tolerance.tuning import Tuning
from nas.supernets import Supernet
from nas.training import Epoch, FitCall, History, Runtime
from nas.training import checkpoint as checkpoints
from nas.training.workplace import Workplace


@final
@dataclass(frozen=True)
class Growth:
    """How a block is tried: tokens that it gains at a time, how it is tuned and judged, and what orders its tokens."""

    grow: int
    error: Error
    training: Tuning
    impact: PatchImpact


@final
class Slimming(nn.Module):
    """A supernet that becomes slim. All that changes is in its state dict, so that a killed pass goes on."""

    attempt: Tensor
    row: Tensor
    orders: Tensor
    errors: Tensor
    variation: Tensor

    def __init__(self, growth: Growth, supernet: Supernet, work: Workplace) -> None:
        super().__init__()
        self.supernet, self.growth, self.work = supernet, growth, work
        self.choices = queries_per_block(supernet.space)
        self.blocks = list(self.choices)
        self._original = (copy.deepcopy(supernet.model).eval(),)  # in a tuple: no part of the state
        tokens = supernet.table.frame.axes[_queries(self.blocks[0])]
        self.register_buffer("attempt", torch.tensor(0))
        self.register_buffer("row", torch.zeros(len(supernet.space), dtype=torch.int64))
        self.register_buffer("orders", torch.arange(tokens).repeat(len(self.blocks), 1))
        self.register_buffer("errors", torch.zeros(len(self.blocks)))
        self.register_buffer("variation", torch.zeros(len(self.blocks)))
        self.history = History()
        self._begin()

    def again(self) -> None:
        """Start once more, from the original weights."""
        self.supernet.model.load_state_dict(self._original[0].state_dict())
        self.attempt += 1
        self._begin()

    def resume(self, path: Path, identity: checkpoints.TrainingIdentity) -> None:
        """Go on where the checkpoint at `path` stands, if there is one. Raises `CheckpointError` for a foreign one."""
        self.history = checkpoints.resume(path, self._progress(identity))
        for block in self._turns[: len(self.history)]:
            self.supernet.selection.update({_queries(block): self.orders[self.blocks.index(block)]})

    def run(self, tolerance: float, identity: checkpoints.TrainingIdentity) -> Architecture:
        """The architecture at one tolerance; the supernet's blocks are tuned to it, and their orders remembered."""
        runtime = self.work.runtime
        for block in self._turns[len(self.history) :]:
            start = time.perf_counter()
            self._order(block)
            error = self._grown(block, tolerance)
            seconds = time.perf_counter() - start
            epoch = Epoch(len(self.history) + 1, error, self.growth.training.peak_lr, seconds)
            self.history = History((*self.history, epoch))
            if runtime.checkpoint:
                runtime.allow()
                checkpoints.save(runtime.checkpoint, self._progress(identity), self.history)
            if runtime.on_epoch:
                runtime.on_epoch(epoch)
        return self.architecture

    @property
    def _turns(self) -> list[str]:
        """The blocks that grow, in their order: all but the last one, backwards."""
        return self.blocks[-2::-1]

    @property
    def architecture(self) -> Architecture:
        """As far as it is decided: earlier blocks are whole."""
        return self.supernet.space.from_table(self.row[None].cpu().numpy())[0]

    def notes(self) -> dict[str, Any]:
        """What the report draws: positions that each block computes, errors, and how much scores vary over images."""
        numbers = {"errors": self.errors, "variation": self.variation}
        return {
            "grid": list(self.supernet.family.grid(self.supernet.model)),
            "positions": {block: self.positions(_queries(block)) for block in self.blocks},
            **{name: {b: round(float(v), 6) for b, v in zip(self.blocks[:-1], values[:-1], strict=True)}
               for name, values in numbers.items()},
        }  # fmt: skip

    def positions(self, axis: str) -> list[int]:
        """Positions that the architecture, as far as it is decided, keeps of an axis of tokens."""
        kept = self.supernet.selection.kept(self.supernet.space.sizes(self.architecture))
        return kept[axis].tolist() if axis in kept else list(range(self.supernet.table.frame.axes[axis]))

    def _begin(self) -> None:
        self.history = History()
        self.row.copy_(torch.from_numpy(self.supernet.space.to_table([self.supernet.space.largest])[0]))
        self._take(self.blocks[-1], 0)

    def _progress(self, identity: checkpoints.TrainingIdentity) -> checkpoints.Progress:
        return checkpoints.Progress(self, None, None, identity)

    def _order(self, block: str) -> None:
        """Sort a block's tokens: those that the block after it computes, then by their impact."""
        number = self.blocks.index(block)
        # The impact of a token is how much of it reaches the class token through what the later blocks still compute.
        computed = {later: self.positions(_queries(later)) for later in self.blocks[number + 1 :]}
        impacts = self.growth.impact.impacts(self.supernet, self.work, computed)[block]
        scores, spread = impacts.mean(0), impacts.std(0, correction=0)
        self.variation[number] = (spread / scores.clamp_min(1e-30)).mean()

        # A token that the next block computes is computed here too, whatever its impact: it scores above all others.
        needed = torch.zeros(len(scores)).index_fill(0, torch.tensor(computed[self.blocks[number + 1]]), 1.0)
        axis = _queries(block)
        self.supernet.reorder({axis: scores + needed * (scores.max() + 1)})
        self.orders[number] = torch.tensor(self.supernet.selection.state()[axis])

    def _grown(self, block: str, tolerance: float) -> float:
        """Grow a block until the error of the block after it is within the tolerance; returns that error."""
        number = self.blocks.index(block)
        after = self.blocks[number + 1]
        sizes = [size[_queries(block)] for size in self.choices[block].sizes]

        # It starts with as many tokens as the next block computes, which come first in its order (`_order`).
        least = len(self.positions(_queries(after)))
        value = next(index for index, size in enumerate(sizes) if size >= least)
        data = self._cached(block, after)
        while True:
            self._take(block, value)
            # The block goes on from what it learned with fewer tokens.
            pair = self._pair(block, after)
            self._tune(pair, data)
            self.errors[number] = error = self._measured(pair, data)
            if error <= tolerance or value == len(sizes) - 1:
                return error
            # The smallest of the space's sizes with at least `grow` tokens more, or all of them.
            wanted = sizes[value] + self.growth.grow
            value = next((index for index, size in enumerate(sizes) if size >= wanted), len(sizes) - 1)

    def _cached(self, block: str, after: str) -> Activations:
        """What the original model gives to a block, and what the block after it makes of that."""
        (original,) = self._original
        paths = self.supernet.table.frame.blocks
        # What a block makes is what the module behind it reads: the block after next, or the last norm.
        number = self.blocks.index(after) + 1
        first = original.get_submodule(paths[block])
        last = number == len(self.blocks)
        behind = original.get_submodule(self.supernet.family.after_blocks if last else paths[self.blocks[number]])
        inputs, targets = [], []
        impact = self.growth.impact
        for read in inputs_of((first, behind), original, self.work, impact.images, impact.batch):
            inputs.append(read[first].cpu())
            targets.append(read[behind].cpu())
        return Activations(torch.cat(inputs), torch.cat(targets), f"inputs of block {block}")

    def _pair(self, block: str, after: str) -> BlockPair:
        """A block and the one after it, as the supernet's architecture now has them."""
        paths = self.supernet.table.frame.blocks
        # The small blocks give one row for each token that is present after them, the original one for every token.
        computed, present = self.positions(_queries(after)), self.positions(axis_name(TOKENS, after))
        rows = [present.index(position) for position in computed]
        return BlockPair(self.architecture, paths[block], paths[after], rows, computed, self.growth.error)

    def _tune(self, pair: BlockPair, data: Activations) -> None:
        """Train the first block of a pair alone. Raises `TrainingError` when a loss is not a number."""
        self.supernet.requires_grad_(False)
        self.supernet.model.get_submodule(pair.first).requires_grad_(True)
        title = f"{self.work.runtime.title} {pair.first}"
        runtime = Runtime(device=self.work.runtime.device, title=title, progress=False)
        training = self.growth.training
        recipe = replace(training, epochs=training.passes(len(data), len(self.work.data.train)))
        self.work.trainer(FitCall(self.supernet, pair, data, recipe, self.work.seed), runtime)

    @torch.no_grad()
    def _measured(self, pair: BlockPair, data: Activations) -> float:
        """Mean error of a pair over all cached inputs."""
        device = next(self.supernet.parameters()).device
        total = 0.0
        with evaluating(self.supernet):
            blocks = pair.blocks(self.supernet)
            for batch in data.batches(self.growth.impact.batch, device=device):
                total += float(pair.error(blocks, batch)) * len(batch)
        return total / len(data)

    def _take(self, block: str, value: int) -> None:
        self.row[list(self.supernet.space).index(self.choices[block].name)] = value


def queries_per_block(space: SearchSpace) -> dict[str, Choice]:
    """Block -> the choice of its queries alone; first block first."""
    choices = {}
    for choice in space.values():
        axes = [axis for axis in choice.axes if dimension(axis) == QUERIES]
        if len(axes) == 1:
            choices[index(axes[0])] = choice
    return choices


def _queries(block: str) -> str:
    """The axis of the tokens that a block computes."""
    return axis_name(QUERIES, block)
