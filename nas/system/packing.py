"""Objects with tensors in them, for other processes: a pickle, and beside it the tensors as plain arrays.

Arrays can be mapped by many processes at once (Ray's object store does), where torch's tensors would be copied into
each. An unpacked object therefore shares its memory, and must not be written to.
"""

from __future__ import annotations

import io
import pickle
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn


@final
@dataclass(frozen=True, eq=False)
class Packed:
    """A pickle whose tensors are in `arrays`; the same tensor twice is one array."""

    content: bytes
    arrays: tuple[np.ndarray, ...]


def pack(value: object) -> Packed:
    """Tensors of all devices come to the CPU. Raises what pickle raises for what cannot be pickled."""
    content = io.BytesIO()
    packer = _Packer(content)
    packer.dump(value)
    return Packed(content.getvalue(), tuple(array for array, _ in packer.found.values()))


def unpack(packed: Packed) -> Any:
    """The object, with tensors that share the memory of the arrays."""
    unpacker = _Unpacker(io.BytesIO(packed.content))
    unpacker.arrays = packed.arrays
    return unpacker.load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.found: dict[int, tuple[np.ndarray, Tensor]] = {}
        """By identity; the tensors are kept, so that no other object takes the identity of one that is gone."""

    def persistent_id(self, value: object) -> tuple[int, bool, bool] | None:
        if not isinstance(value, Tensor) or value.dtype == torch.bfloat16:  # numpy has no such type
            return None
        if id(value) not in self.found:
            self.found[id(value)] = (value.detach().cpu().contiguous().numpy(), value)
        return list(self.found).index(id(value)), isinstance(value, nn.Parameter), value.requires_grad


class _Unpacker(pickle.Unpickler):
    arrays: tuple[np.ndarray, ...] = ()

    def persistent_load(self, told: tuple[int, bool, bool]) -> Tensor:
        place, parameter, grad = told
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(self.arrays[place])
        return nn.Parameter(tensor, requires_grad=grad) if parameter else tensor.requires_grad_(grad)
