"""What a search space knows of a model: the names of its axes and how many units each has. No weights, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, final

from nas.axes.sizes import parts_of, size_of
from nas.quantities import Matrix, factoring_pays
from nas.searchspaces.axis_names import DEPTH, axis_name, dimension, index, position

Level = Literal["block", "stage", "model"]


@final
@dataclass(frozen=True)
class Outline:
    """The axes of a model and what may be chosen of them."""

    model: str
    """timm name of the model, for messages."""
    axes: Mapping[str, int]
    """Axis -> number of units. A block is an axis too, "depth.3", of one unit."""
    protected: Mapping[str, int] = field(default_factory=dict)
    """Axis -> how many of its first units are always kept, such as the class token."""
    within: Mapping[str, str] = field(default_factory=dict)
    """Axis -> the axis whose units it selects from, or several packed ones ("heads.3 head_dim.3", "4 embed.0"); only it
    or those may be chosen.
    """
    elastic: frozenset[str] = frozenset()
    """Dimensions that may be chosen in this model; all of them when left out."""
    matrices: Mapping[str, Matrix] = field(default_factory=dict)
    """Axis of a rank -> the matrix that it factors. Of ranks that are left out nobody knows what they save."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Dimension that models of this kind may choose, and this one may not -> why not."""

    def __post_init__(self) -> None:
        if not self.elastic:
            object.__setattr__(self, "elastic", frozenset(map(dimension, self.axes)))
        for axis, size in self.axes.items():
            assert size >= 1, f"axis {axis} of {self.model} has {size} units"
        parents = {parent for packed in self.within.values() for parent in packed.split()}
        sides = {atom for m in self.matrices.values() for atom in (*m.outputs, *m.inputs)}
        named = {axis for atom in parents | sides for axis in parts_of(atom) if not axis.isdecimal()}
        for axis in {*self.protected, *self.within, *self.matrices, *named}:
            assert axis in self.axes, f"{axis} is no axis of {self.model}"

    @cached_property
    def staged(self) -> bool:
        """Whether the model's blocks lie in stages (Swin), so that indices read STAGE.BLOCK."""
        return any("." in index(axis) for axis in self.axes)

    @cached_property
    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Dimension -> its axes, first block first."""
        axes: dict[str, list[str]] = {}
        for axis in self.axes:
            axes.setdefault(dimension(axis), []).append(axis)
        return {name: tuple(sorted(members, key=lambda a: position(index(a)))) for name, members in axes.items()}

    def level(self, axis: str) -> Level:
        """How often the model has this axis: once per block, per stage, or per model."""
        numbers = position(index(axis))
        if not numbers:
            return "model"
        # "embed.2" of a Swin is the whole stage 2; "mlp.2" of a ViT, which has no stages, is in block 2.
        return "stage" if self.staged and len(numbers) == 1 else "block"

    def size(self, atom: str, sizes: Mapping[str, Any]) -> Any:
        """See `nas.axes.sizes.size_of`."""
        return size_of(atom, sizes, self.axes, self.within)

    def factored(self, axis: str, sizes: Mapping[str, Any]) -> Any:
        """Whether the matrix of a rank is factored where some axes have `sizes`, numbers or arrays: not where two
        factors cost no less than what is left of it.
        """
        matrix = self.matrices[axis]
        sides = matrix.outputs, matrix.inputs
        outputs, inputs = (math.prod(self.size(atom, sizes) for atom in side) for side in sides)
        return factoring_pays(self.size(axis, sizes), outputs, inputs)

    def block(self, axis: str) -> str | None:
        """The axis that switches the block of `axis` off ("depth.3" for "mlp.3"), if the model has such an axis."""
        switch = axis_name(DEPTH, index(axis))
        return switch if switch in self.axes and switch != axis else None
