"""How many bytes of tensors are alive at once while a forward runs, found by following each storage from the operation
that makes it to the moment at which nobody holds it any more. With tensors that have shapes and no values
(`FakeTensorMode`) nothing is computed, and the same storages come and go.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override


@final
class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, the bytes of all tensors that operations make and that somebody still holds. Those of `given` tensors
    are not counted.

    now    at this moment
    peak   the most since `restart`
    """

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: dict[int, int] = {}
        # They are held here, or another storage could come to lie where one of them was.
        self._given = [tensor.untyped_storage() for tensor in given]
        self._known.update((storage._cdata, 0) for storage in self._given)

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now

    @override
    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return made

    def _follow(self, storage: torch.UntypedStorage) -> None:
        place = storage._cdata
        if place in self._known:
            return
        self._known[place] = size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, place).atexit = False

    def _gone(self, place: int) -> None:
        self.now -= self._known.pop(place, 0)


def without_values(model: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The same model, in which tensors with shapes and no values, on the processor, have taken the place of all that it
    held. Operations on them must run within the mode.
    """

    def faked(tensor: Tensor) -> Tensor:
        if tensor.is_meta:
            return mode.fake_tensor_converter.from_meta_and_device(mode, tensor.detach(), torch.device("cpu"))
        return mode.from_tensor(tensor.detach())

    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(faked(parameter), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = faked(buffer)
    return model
