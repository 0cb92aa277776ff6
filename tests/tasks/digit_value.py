"""The toy task of these tests, as a user's package would bring it: one file, and an entry point that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from nas.errors import TrainingError
from nas.quantities import Quantity
from nas.tasks import Criterion, Facts, Mixer, Mixing, Targets, Task

DEVIATION = Quantity(
    name="deviation", title="mean deviation", origin="measured", better="less", ideal=0.0, over_inputs="mean"
)
LOSS = Quantity(name="loss", title="loss", origin="measured", better="less", ideal=0.0, over_inputs="mean")


@final
@dataclass(frozen=True, kw_only=True)
class DigitValue(Task):
    """Regression of one number from an image: the value of its digit. Outputs and targets are float, B x 1."""

    @property
    @override
    def metrics(self) -> tuple[Quantity, ...]:
        return DEVIATION, LOSS

    @override
    def model_args(self, facts: Facts) -> dict[str, Any]:
        return {"in_chans": facts.channels, "num_classes": 1}

    @override
    def targets(self, labels: NDArray[np.int64], classes: int) -> Tensor:
        return torch.from_numpy(labels).float()[:, None]

    @override
    def criterion(self, smoothing: float = 0.0) -> Criterion:
        """Mean squared error."""
        if smoothing:
            raise TrainingError(f"smoothing: found {smoothing:g}; allowed for the value of a digit: 0")
        return functional.mse_loss

    @override
    def divergence(self, reference: Tensor, outputs: Tensor, temperature: float = 1.0) -> Tensor:
        """Mean squared difference; a temperature means nothing here."""
        return (reference - outputs).square().mean()

    @override
    def mixer(self, mixing: Mixing, classes: int) -> Mixer | None:
        if mixing.mixup or mixing.cutmix:
            raise TrainingError("mixup, cutmix: the values of two digits cannot be mixed; allowed: 0")
        return None

    @override
    def tally(self) -> _Errors:
        return _Errors()

    @override
    def difference(self, first: Tensor, second: Tensor) -> float:
        return float((first - second).abs().max())

    @override
    def detached(self, outputs: Tensor) -> Tensor:
        return outputs.detach()

    @override
    def predictions(self, outputs: Tensor, targets: Targets, classes: Sequence[str]) -> list[dict[str, Any]]:
        return [{"value": value} for value in outputs[:, 0].tolist()]

    @override
    def about(self, classes: Sequence[str]) -> Mapping[str, Any]:
        return {"value": f"of a digit, {classes[0]} to {classes[-1]}"}


@final
@dataclass(frozen=True)
class _Errors:
    """Sums over the images seen so far."""

    absolute: float = 0.0
    squared: float = 0.0
    n: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        return {DEVIATION.name: self.absolute / self.n, LOSS.name: self.squared / self.n}

    def after(self, outputs: Tensor, targets: Targets) -> _Errors:
        assert isinstance(targets, Tensor)
        errors = (outputs.float() - targets).abs()
        absolute, squared = float(errors.sum()), float(errors.square().sum())
        return _Errors(self.absolute + absolute, self.squared + squared, self.n + len(targets))
