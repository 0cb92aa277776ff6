"""A choice, and what a kind of choice must be able to do: to become choices on the axes of a model.

A kind is a frozen dataclass whose fields are the keys of its YAML mapping, in a file of this folder with the name of
its main key: `heads: {size: [1, 2, 3], per: block}` is read as `Size(size=[1, 2, 3], per="block")`, and its `choices`
makes "heads.0", "heads.1" and so on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from nas.errors import nearest
from nas.searchspaces.architecture import Value
from nas.searchspaces.axis_names import axis_name, index, is_bits, position, stage
from nas.searchspaces.outline import Level, Outline


@final
@dataclass(frozen=True)
class Choice:
    """One decision: its values, from the smallest sub-network to the largest, and the sizes that each value sets."""

    name: str
    kind: str
    values: tuple[Value, ...]
    sizes: tuple[Mapping[str, int], ...]
    """Per value: axis -> number of units that stay (for "depth.3": 1 or 0)."""
    chain: str = ""
    """Choices of one chain may not grow from one to the next, in the order of the space; empty when free."""

    def __post_init__(self) -> None:
        assert len(self.values) == len(self.sizes) >= 1, (
            f"{self.name}: {len(self.values)} values, {len(self.sizes)} sizes"
        )
        assert len({frozenset(s) for s in self.sizes}) == 1, f"{self.name}: every value sets the same axes"

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes that this choice sets, in the order of the model."""
        return tuple(self.sizes[-1])


@final
@dataclass(frozen=True)
class Group:
    """Axes that one choice sets together: those of a block, of a stage, or of the whole model."""

    index: str
    axes: tuple[str, ...]


@final
@dataclass(frozen=True)
class Faults:
    """Where a kind says what is wrong with its mapping, all of it, instead of raising at the first fault.

    `fault(key, found, allowed)` takes the key relative to the mapping, as in "size.2"; empty for the mapping itself.
    `note(text)` records what was dropped.
    """

    fault: Callable[[str, str, str], None]
    note: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ChoiceKind(ABC):
    """A kind of choice: the fields are the keys of its YAML mapping, one of which has the name of the kind's file."""

    per: Level | None = None
    """One choice per block, stage or model; left out, the finest that the axes have."""

    @abstractmethod
    def choices(self, name: str, outline: Outline, faults: Faults) -> list[Choice]:
        """The choices that the mapping called `name` makes on a model, first block first; an empty list when `faults`
        has a fault.
        """

    @classmethod
    @abstractmethod
    def examples(cls) -> Sequence[tuple[str, Mapping[str, object]]]:
        """Names and mappings that are right on a common ViT or Swin; the conformance suite tries them on several
        outlines.
        """


def elastic(dimensions: Sequence[str], key: str, outline: Outline, faults: Faults) -> list[str]:
    """Those of `dimensions` that the model has and may choose, units of them; the others are reported, at `key`."""
    sized = [dimension for dimension in outline.dimensions if not is_bits(dimension)]
    allowed = [dimension for dimension in sized if dimension in outline.elastic]
    good: list[str] = []
    if not dimensions:
        faults.fault(key, "an empty list", f"at least one of {', '.join(sorted(allowed))}")
    for i, name in enumerate(dimensions):
        item = f"{key}.{i}" if key else key
        if name in outline.fixed:
            faults.fault(item, f"'{name}': {outline.fixed[name]}", f"one of {', '.join(sorted(allowed))}")
        elif name in sized and name not in allowed:
            faults.fault(item, f"'{name}', which is fixed in {outline.model}", f"one of {', '.join(sorted(allowed))}")
        elif name not in allowed:
            faults.fault(item, f"unknown axis '{name}'", f"one of {', '.join(sorted(allowed))}{nearest(name, allowed)}")
        elif name in good:
            faults.fault(item, f"'{name}' twice", "each axis once")
        else:
            good.append(name)
    return good


def named(name: str, of: Sequence[str] | None, outline: Outline, faults: Faults) -> list[str]:
    """The dimensions `of` that a mapping called `name` chooses; left out, the one that has the mapping's name."""
    return elastic([name], "", outline, faults) if of is None else elastic(of, "of", outline, faults)


def groups(dimensions: Sequence[str], per: Level | None, outline: Outline, faults: Faults) -> list[Group]:
    """The axes of some dimensions, put together per block, stage or model.

    When the model has no such groups, this is reported, and the finest that there are are returned, so that the
    values can be judged.
    """
    # An axis that a Swin has once per stage cannot differ from block to block: the coarsest axis says how fine a group
    # may be.
    axes = [axis for name in dimensions for axis in outline.dimensions[name]]
    levels: list[Level] = ["block", "stage", "model"]
    coarsest: Level = levels[max((levels.index(outline.level(axis)) for axis in axes), default=0)]
    level: Level = per or coarsest
    if level == "stage" and not outline.staged:
        faults.fault("per", "'stage'", f"'block' or 'model': {outline.model} has no stages")
        level = coarsest
    elif levels.index(level) < levels.index(coarsest):
        example = next(axis for axis in axes if outline.level(axis) == coarsest)
        allowed = f"'{coarsest}' or coarser: {outline.model} has '{example}' once per {coarsest}"
        faults.fault("per", f"'{level}'", allowed)
        level = coarsest
    members: dict[str, list[str]] = {}
    for axis in axes:
        own = index(axis)
        members.setdefault({"block": own, "stage": stage(own), "model": ""}[level], []).append(axis)
    return [Group(where, tuple(members[where])) for where in sorted(members, key=position)]


def title(name: str, group: Group) -> str:
    """The name of the choice that the mapping `name` makes for a group: "heads.3", or "heads" when it makes one for
    the whole model.
    """
    return axis_name(name, group.index)


def matrices(
    name: str, of: Sequence[str] | None, known: Sequence[str], kind: str, outline: Outline, faults: Faults
) -> list[str]:
    """The matrices `of` that a mapping called `name` chooses; left out, the one that has the mapping's name. `known`
    are those that have choices of this kind; all others are reported.
    """
    if of is not None and not of:
        faults.fault("of", "an empty list", f"at least one of {', '.join(known)}")
    good: list[str] = []
    for i, matrix in enumerate([name] if of is None else of):
        key = f"of.{i}" if of else ""
        if matrix not in known:
            allowed = f"one of {', '.join(known)}{nearest(matrix, known)}" if known else f"no {kind} choice"
            faults.fault(key, f"unknown matrix '{matrix}'", f"{allowed} in {outline.model}")
        elif matrix in good:
            faults.fault(key, f"'{matrix}' twice", "each matrix once")
        else:
            good.append(matrix)
    return good
