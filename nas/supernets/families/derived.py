"""Models of any class, by what is derived of them: see `nas.supernets.derived`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import ClassVar, cast, final

from torch import Tensor, nn
from typing_extensions import override

from nas.axes import AxisTable, Frame
from nas.errors import ModelError
from nas.searchspaces.axis_names import MLP, axis_name, dimension
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.extracting import plain
from nas.supernets.derived.labels import OUTPUT
from nas.supernets.families._base import Family, Readout, SizeOf
from nas.supernets.refusals import refuse_parts
from nas.supernets.slicing import is_factored


@final
class Derived(Family):
    """A captured model: its table is derived, and its graph follows the sizes of axes."""

    classes = (Captured,)
    examples: ClassVar = ()

    @override
    def refusal(self, model: nn.Module) -> str:
        return "" if captured(model).graphs.table.frame.axes else "nothing in it may shrink"

    @override
    def feed_forward(self, model: nn.Module) -> tuple[str, ...]:
        """Of the first block that has hidden units."""
        table = captured(model).graphs.table
        for place, path in table.frame.blocks.items():
            axis, inside = axis_name(MLP, place), [e for e in table.entries.values() if e.block == place and e.at]
            makes = [entry.owner for entry in inside if axis in entry.dims[0]]
            reads = [entry.owner for entry in inside if axis in entry.dims[1]]
            if makes and reads:
                return tuple(owner.removeprefix(f"{path}.") for owner in (*makes, *reads))
        return ()

    @override
    def table(self, model: nn.Module, chosen: Container[str] = ()) -> AxisTable:
        return captured(model).graphs.table

    @override
    def frame(self, model: nn.Module) -> Frame:
        return captured(model).graphs.table.frame

    @override
    def elastic(self, model: nn.Module) -> frozenset[str]:
        """All that was derived."""
        return frozenset(map(dimension, captured(model).graphs.table.frame.axes))

    @override
    def reshape(self, model: nn.Module, blocks: Mapping[str, nn.Module], size: SizeOf) -> None:
        """What the graph's constants follow."""
        own = captured(model)
        own.sizes = {axis: size(axis) for axis in own.graphs.table.frame.axes}
        own.left_out = frozenset(own.graphs.table.frame.blocks) - blocks.keys()
        entries = own.graphs.table.entries.values()
        own.factored = frozenset(entry.parameter for entry in entries if is_factored(entry, size))

    @override
    def mix(self, model: nn.Module, gates: Mapping[str, Tensor]) -> None:
        captured(model).mixed = gates

    @override
    def plain(self, carved: nn.Module) -> nn.Module:
        return plain(captured(carved))

    @override
    def refuse(self, extracted: nn.Module) -> None:
        refuse_parts(extracted)

    @override
    def image_size(self, model: nn.Module) -> tuple[int, int]:
        return captured(model).graphs.image[1:]

    @override
    def grid(self, model: nn.Module) -> tuple[int, int]:
        raise ModelError(f"{captured(model).kind}: a derived model does not say what its grid of patches is")

    @override
    def readout(self, model: nn.Module) -> Readout:
        """Of all places of the image, as far as is known."""
        return Readout("avg", prefix=0, anchors=0)

    @override
    def classifier(self, model: nn.Module) -> tuple[str, ...]:
        """What stays because it is the output."""
        places = captured(model).graphs.derivation.fixed.get(OUTPUT, ())
        return tuple(place.partition(" ")[0] for place in places if place.endswith(" dimension 0"))


def captured(model: nn.Module) -> Captured:
    """The model itself, whose family this is."""
    return cast("Captured", model)
