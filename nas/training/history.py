"""What a training run leaves behind, epoch by epoch: rows for tables and curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final


@final
@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1: mean training loss, learning rate of its last step, seconds, and what
    `Runtime.evaluate` measured after it.
    """

    epoch: int
    loss: float
    lr: float
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class History(Sequence[Epoch]):
    """The epochs of a run, in order, those before an interruption included."""

    epochs: tuple[Epoch, ...] = ()

    def __getitem__(self, index: Any) -> Any:
        return self.epochs[index]

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self.epochs)

    @property
    def seconds(self) -> float:
        """Seconds of all epochs together."""
        return sum(row.seconds for row in self.epochs)

    def rows(self) -> list[dict[str, Any]]:
        """The epochs as plain mappings, for JSON and for tables; `from_rows` reads them back."""
        return [asdict(row) for row in self.epochs]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> History:
        """The inverse of `rows`."""
        return cls(tuple(Epoch(**row) for row in rows))
