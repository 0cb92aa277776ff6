"""Reading a model's operations, one by one: which dimensions of their inputs are those of their output.

Under `Reader`, every operation that torch dispatches is looked up in the rules (`nas.supernets.derived.rules`). Tensors
have no values: all is run on the meta device. What no rule knows keeps its axes as they are, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary
from typing_extensions import override

from nas.supernets.derived import algebra
from nas.supernets.derived.algebra import Dims

MADE_INSIDE = "made inside the forward"


@final
@dataclass(frozen=True)
class Contraction:
    """A matrix product, batch x rows x inner times batch x inner x columns, as axes.

    `place` is the node of the graph in which it is computed; `learned` says for each side whether it is a matrix: it
    follows from parameters alone, and from no product of theirs, as learned queries do.
    """

    place: str
    batch: list[Dims]
    rows: list[Dims]
    inner: list[Dims]
    columns: list[Dims]
    learned: tuple[bool, bool]


@final
class Call:
    """One operation: its arguments, what it gave, and the dimensions of both."""

    def __init__(
        self, reader: Reader, name: str, arguments: Sequence[Any], keywords: dict[str, Any], output: Any
    ) -> None:
        self.reader, self.name, self.output = reader, name, output
        self._arguments, self._keywords = arguments, keywords

    def get(self, place: int, keyword: str = "", default: Any = None) -> Any:
        """An argument by its place or its keyword."""
        return self._arguments[place] if len(self._arguments) > place else self._keywords.get(keyword, default)

    @property
    def input(self) -> Tensor:
        """The first argument."""
        tensor: Tensor = self._arguments[0]
        return tensor

    @property
    def dims(self) -> list[Dims]:
        """Dimensions of the first argument."""
        return self.reader.dims(self.input)

    def of(self, tensor: Tensor) -> list[Dims]:
        """Dimensions of any argument."""
        return self.reader.dims(tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output, the first one where there are several."""
        return tuple(self.outputs[0].shape)

    @property
    def outputs(self) -> list[Tensor]:
        """All tensors that it gave."""
        return tensors_in([self.output])

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors among its arguments."""
        return tensors_in([*self._arguments, *self._keywords.values()])

    def along(self, keyword: str = "dim", place: int = 1, default: int = 0) -> int:
        """A dimension of the first argument that an argument names, counted from the front."""
        return int(self.get(place, keyword, default)) % max(self.input.dim(), 1)


OperationRule = Callable[[Call], Any]
"""From an operation to the dimensions of its output; a list of them where it gives several, None for those unknown."""


@final
class Reader(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Labels what is computed under it with dimensions. `place` names the node that is under way; `normed` are
    dimensions that norms, means and the like of activations run over, `summed` those of sums.
    """

    def __init__(self, rules: dict[str, OperationRule], otherwise: OperationRule) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.contractions: list[Contraction] = []
        self.normed: list[Dims] = []
        self.summed: list[Dims] = []
        self.place = ""
        self._rules, self._otherwise = rules, otherwise
        self._dims: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._of_image: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._multiplied: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def dims(self, tensor: Tensor) -> list[Dims]:
        """Dimensions of a tensor; of one that nobody has labelled they stay as they are."""
        if tensor not in self._dims:
            self._dims[tensor] = algebra.new(tensor.shape, MADE_INSIDE)
        labels: list[Dims] = self._dims[tensor]
        return labels

    def label(self, tensor: Tensor, dims: list[Dims], *, of_image: bool = False) -> None:
        """Say what the dimensions of a tensor are, and whether it follows from the image."""
        self._dims[tensor] = dims
        if of_image:
            self._of_image[tensor] = True

    def learned(self, tensor: Tensor) -> bool:
        """Whether a tensor follows from parameters and buffers alone."""
        return tensor not in self._of_image

    def reduced(self, tensor: Tensor, places: Iterable[int], *, sums: bool = False) -> None:
        """Note dimensions of a tensor that a statistic runs over, where it follows from the image. To sums a unit of 0
        adds nothing.
        """
        if tensor in self._of_image:
            (self.summed if sums else self.normed).extend(self.dims(tensor)[place] for place in places)

    def matrix(self, tensor: Tensor) -> bool:
        """Whether a tensor follows from parameters and buffers alone, and from no matrix product."""
        return tensor not in self._of_image and tensor not in self._multiplied

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        call = Call(self, func.overloadpacket.__name__, args, kwargs or {}, output)
        if outputs := call.outputs:
            rule = self._rules.get(call.name.removesuffix("_")) or self._rules.get(call.name)
            if rule is None:
                rule = self._rules["pointwise"] if torch.Tag.pointwise in func.tags else self._otherwise
            products = len(self.contractions)
            dims = rule(call)
            of_product = len(self.contractions) > products or any(tensor in self._multiplied for tensor in call.tensors)
            self._multiplied.update(dict.fromkeys(outputs if of_product else [], True))
            self._take(call, outputs, dims)
        return output

    def _take(self, call: Call, outputs: list[Tensor], dims: Any) -> None:
        several = isinstance(call.output, tuple | list)
        of_image = not all(map(self.learned, call.tensors))
        for tensor, own in zip(outputs, dims if several else [dims], strict=False):
            labels = own if own is not None else algebra.new(tensor.shape, f"given by '{call.name}'")
            # A rule that is wrong must not go unnoticed: sizes have to agree.
            if tuple(math.prod(axis.size for axis in dim) for dim in labels) != tuple(tensor.shape):
                for dim in labels:
                    algebra.fix(dim, f"'{call.name}' in a form that is not known")
                labels = algebra.new(tensor.shape, f"given by '{call.name}'")
            self.label(tensor, labels, of_image=of_image)


def tensors_in(values: Any) -> list[Tensor]:
    """Tensors among values, those in lists of them included."""
    result: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            result.append(value)
        elif isinstance(value, list | tuple):
            result += tensors_in(value)
    return result
