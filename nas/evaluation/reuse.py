"""Activations of sub-networks, kept for other ones that begin alike.

Two sub-networks that agree in their first blocks compute the same there, bit by bit, on the same batch. So what comes
out of each step of a forward is kept, and the next sub-network starts behind the last step that is known. Which steps
agree is `nas.supernets`' to say; here is who keeps what, and for how long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from torch import Tensor

if TYPE_CHECKING:
    from nas.searchspaces import Architecture
    from nas.supernets import Supernet
    from nas.supernets.families._base import Piece

REUSED = 2**30
"""Bytes of activations that an `Evaluator` keeps on its device; on a cluster every worker does.

DeiT-Ti leaves 0.15 MB per image and step: a gibibyte holds the stem and twelve blocks for some 500 images, or the stem
and one block for 3,000.
"""


@final
@dataclass(frozen=True)
class _Kept:
    """Activations of one batch after a step; `path` is what they and all before them would take for all images."""

    activations: Tensor
    path: float


@final
class Prefixes:
    """Runs sub-networks of one supernet on batches of `images` images, and keeps activations, at most `budget` bytes.

    What was used longest ago goes first, of one sub-network the deepest first. A step is kept only if it and all
    before it would fit the budget for all images together: otherwise a sub-network's last batches would drive out its
    first ones, and nothing of it would be there the next time. After a change of the supernet nothing is kept.
    """

    def __init__(self, supernet: Supernet, *, images: int, budget: int) -> None:
        self._supernet, self._images, self._budget = supernet, images, budget
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._bytes = 0
        self._version: Hashable = None
        self.ran = 0
        self.saved = 0
        """Steps that were run, and those that were not."""

    def runner(self, architecture: Architecture, start: int) -> Callable[[Tensor], Tensor]:
        """A function from batches of images to outputs; `start` is the first batch's position among all images, the
        others follow it.
        """
        subnet = self._supernet.subnet(architecture)
        if not self._budget:
            return subnet
        if (version := self._supernet.version) != self._version:
            self._forget()
            self._version = version
        keyed = self._supernet.steps(subnet, architecture)
        steps = [step for _, step in keyed]
        names = tuple(key for key, _ in keyed)
        prefixes = [names[: depth + 1] for depth in range(len(names))]

        def run(images: Tensor) -> Tensor:
            nonlocal start
            # Activations are known by the batch they are of, and by all steps up to theirs.
            batch, start = (start, len(images)), start + len(images)
            return self._run(steps, [(batch, prefix) for prefix in prefixes], images)

        return run

    def _run(self, steps: list[Piece], keys: list[Hashable], x: Tensor) -> Tensor:
        """The last step is a sub-network's own: nothing of it is looked up or kept."""
        share = len(x) / self._images
        first, path = 0, 0.0
        # The deepest step whose activations are there is where the forward begins.
        for depth in reversed(range(len(steps) - 1)):
            if (kept := self._kept.get(keys[depth])) is not None:
                first, x, path = depth + 1, kept.activations, kept.path
                break
        # Touched before the rest runs, so that keeping a new step does not drive out one of the same sub-network.
        self._touch(keys[:first])
        self.ran += len(steps) - first
        self.saved += first
        for depth in range(first, len(steps)):
            x = steps[depth].run(x)
            if depth == len(steps) - 1:
                break  # outputs, which need not be a tensor
            path += x.untyped_storage().nbytes() / share  # as if for all images
            if path <= self._budget:
                self._keep(keys[depth], _Kept(x, path))
        self._touch(keys)
        return x

    def _touch(self, keys: list[Hashable]) -> None:
        """Used just now: the deepest first, so that it is also the first of them to go."""
        for key in reversed(keys):
            if key in self._kept:
                self._kept.move_to_end(key)

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        self._kept[key] = kept
        self._bytes += kept.activations.untyped_storage().nbytes()
        while self._bytes > self._budget:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.activations.untyped_storage().nbytes()

    def _forget(self) -> None:
        self._kept.clear()
        self._bytes = 0
