"""What an optimiser remembers, as tensors by name: for checkpoints, and for other ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

PARAMETER, GROUP, NUMBER = "optimiser", "optimiser_group", "_number"
"""Before a name: what belongs to a parameter, or to a group of them; where it is a plain number, that is added."""


@final
class OptimiserState:
    """The state of one optimiser. Its settings follow from the recipe and are left out: of a group's values, those are
    kept that changed since the optimiser was made, such as LAMB's count of steps.
    """

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        self._optimiser = optimiser
        self._made = [dict(group) for group in optimiser.param_groups]

    def tensors(self) -> dict[str, Tensor]:
        """optimiser.INDEX.KEY and so on; numbers become tensors of 64 bits, exactly."""
        tensors: dict[str, Tensor] = {}
        for index, values in self._optimiser.state_dict()["state"].items():
            if isinstance(values, Tensor):  # of the optimiser as a whole
                tensors[f"{PARAMETER}.{index}"] = values
            else:
                tensors |= _named(PARAMETER, index, values)
        for index, (made, group) in enumerate(zip(self._made, self._optimiser.param_groups, strict=True)):
            changed = {key: value for key, value in group.items() if made.get(key) is not value}
            tensors |= _named(GROUP, index, {key: changed[key] for key in changed if key not in ("params", "lr")})
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts what `tensors` gave, found among others, into the optimiser."""
        state: dict[int | str, Any] = {}
        groups = self._optimiser.state_dict()["param_groups"]
        for name, tensor in tensors.items():
            start, index, key = (*name.split(".", 2), "", "")[:3]
            value = tensor.item() if start.endswith(NUMBER) else tensor
            kind = start.removesuffix(NUMBER)
            if kind == PARAMETER and not key:
                state[index] = value
            elif kind == PARAMETER:
                state.setdefault(int(index), {})[key] = value
            elif kind == GROUP:
                groups[int(index)][key] = value
        self._optimiser.load_state_dict({"state": state, "param_groups": groups})


def _named(kind: str, index: object, values: Mapping[str, Any]) -> dict[str, Tensor]:
    """Values as tensors, by their names; without those that are None."""
    return {
        ".".join((kind if isinstance(value, Tensor) else f"{kind}{NUMBER}", str(index), key)): as_tensor(value)
        for key, value in values.items()
        if value is not None
    }


def as_tensor(value: Tensor | bool | int | float) -> Tensor:
    """A number as a tensor that holds it exactly; a tensor as it is."""
    if isinstance(value, Tensor):
        return value
    assert isinstance(value, bool | int | float), f"{value!r} cannot be kept in a checkpoint"
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
