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
    return Packed(content.getvalue(), tuple(packer.arrays))


def unpack(packed: Packed) -> Any:
    """The object, with tensors that share the memory of the arrays."""
    unpacker = _Unpacker(io.BytesIO(packed.content))
    unpacker.arrays = packed.arrays
    return unpacker.load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.arrays: list[np.ndarray] = []
        self._packed: dict[int, tuple[int, Tensor]] = {}
        """Identity of a tensor -> the position of its array, and the tensor: it is kept, so that no other object takes
        the identity of one that is gone.
        """

    def persistent_id(self, value: object) -> tuple[int, bool, bool] | None:
        """What pickle writes in place of a tensor: position of its array, whether it is a parameter, whether it takes
        gradients. None for all else, which pickle writes itself.
        """
        if not isinstance(value, Tensor) or value.dtype == torch.bfloat16:  # numpy has no such type
            return None
        if id(value) not in self._packed:
            self._packed[id(value)] = len(self.arrays), value
            self.arrays.append(value.detach().cpu().contiguous().numpy())
        position, _ = self._packed[id(value)]
        return position, isinstance(value, nn.Parameter), value.requires_grad


class _Unpacker(pickle.Unpickler):
    arrays: tuple[np.ndarray, ...] = ()

    def persistent_load(self, written: tuple[int, bool, bool]) -> Tensor:
        """The tensor for which `_Packer.persistent_id` wrote this."""
        position, parameter, takes_gradients = written
        with warnings.catch_warnings():
            # Ray maps its arrays read-only. We promise not to write to them (see the module's text).
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(self.arrays[position])
        if parameter:
            return nn.Parameter(tensor, requires_grad=takes_gradients)
        return tensor.requires_grad_(takes_gradients)
