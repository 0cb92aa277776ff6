"""Small stand-ins for the tests of training: a data set, a network of one hidden layer, and its supernet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.data import Data, HeldSplit
from nas.preprocessing import Preprocessing
from nas.searchspaces.architecture import Architecture
from nas.supernets.families._base import Piece
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.training import StepContext

WIDTHS = (2, 4, 6, 8)
BY = Preprocessing(mean=(0.3,), std=(0.25,))
T = TypeVar("T")


def make_split(n: int, seed: int, classes: int = 3) -> HeldSplit:
    """Grey 4 x 4 images whose class is the row that is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    images = torch.randint(0, 100, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)
    images[torch.arange(n), 0, labels] += 120
    return HeldSplit(images, labels, BY)


def make_data(n: int = 45) -> Data:
    splits = make_split(n, 1), make_split(12, 2), make_split(12, 3)
    return Data(*splits, ("a", "b", "c"), 1, 4, "rows", Classification(), BY)


def first_batch(size: int = 8) -> Batch:
    """The first training images, in order."""
    return next(make_data().train.batches(size))


def context(
    module: nn.Module, *, smoothing: float = 0.0, epoch: int = 0, step: int = 0, progress: float = 0.3
) -> StepContext:
    """Somewhere in a training for classification; four steps per epoch, seed 0."""
    return StepContext(module, Classification(), smoothing, 0, epoch, step, 4, progress)


class Net(nn.Module):
    """Dropout makes it depend on torch's generator, BatchNorm gives it buffers."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(torch.nn.functional.gelu(self.inner(x.flatten(1))))
        logits: Tensor = self.head(self.drop(hidden))
        return logits


def make_net(seed: int = 0, dropout: float = 0.1) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(dropout)


class FakeSpace:
    """One choice: how many hidden units stay. Counts how often it was asked for a table."""

    def __init__(self) -> None:
        self.smallest, self.largest = (Architecture({"width": width}) for width in (WIDTHS[0], WIDTHS[-1]))
        self.asked: list[tuple[int, Any]] = []

    def sample_table(self, rng: np.random.Generator, n: int, limit: Any = None) -> NDArray[np.int64]:
        self.asked.append((n, limit))
        return rng.integers(0, len(WIDTHS), (n, 1))

    def from_table(self, table: NDArray[np.int64]) -> list[Architecture]:
        return [Architecture({"width": WIDTHS[int(row[0])]}) for row in table]


class FakeSupernet(nn.Module):
    """A hidden layer whose first units are used; remembers which architectures ran and how often slices were made."""

    version = 0

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.model = make_net(seed, dropout=0.0)
        self.model.norm = nn.Identity()  # type: ignore[assignment]
        self.ran: list[Architecture] = []

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        self.ran.append(architecture)
        logits: Tensor = self.subnet(architecture)(x)
        return logits

    def steps(self, subnet: nn.Module, architecture: Architecture) -> list[tuple[object, Piece]]:
        return [(architecture, Piece(subnet, ("",)))]

    def subnet(self, architecture: Architecture) -> nn.Module:
        width = int(architecture["width"])
        inner, head = self.model.inner, self.model.head

        class Sub(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                hidden = torch.nn.functional.gelu(
                    torch.nn.functional.linear(x.flatten(1), inner.weight[:width], inner.bias[:width])
                )
                return torch.nn.functional.linear(hidden, head.weight[:, :width], head.bias)

        return Sub()


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    """Equal to the last bit, buffers included."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    return max(float((x - y).detach().abs().max()) for x, y in zip(a, b, strict=True))


def noting(seen: list[Any], item: object, result: T) -> T:
    """Remembers a call inside a lambda, and answers it."""
    seen.append(item)
    return result
