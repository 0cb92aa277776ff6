"""What every kind of choice must hold to, tested for all kinds in the plug-in folder and all that other packages bring.

from nas.testing.choices import ChoiceSuite

class TestChoices(ChoiceSuite):
    pass
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest

from nas.axes import FLOAT_BITS
from nas.errors import ConfigError, Fault, SpaceError
from nas.plugins import names
from nas.quantities import Matrix
from nas.searchspaces.architecture import Architecture
from nas.searchspaces.axis_names import (
    DEPTH,
    EMBED,
    HEAD_DIM,
    HEADS,
    MLP,
    QUERIES,
    TOKENS,
    axis_name,
    bits_of,
    dimension,
    index,
    is_position,
    position,
    rank_of,
)
from nas.searchspaces.choices._base import Choice
from nas.searchspaces.from_yaml import KINDS, find_kind
from nas.searchspaces.outline import Outline
from nas.searchspaces.space import SearchSpace

_RANKS = {"qkv": 24, "proj": 24, "fc1": 24, "fc2": 24}


def vit(blocks: int = 4, heads: int = 3, *, tokens: int = 17, protected: int = 1) -> Outline:
    """A ViT as an outline, with everything elastic."""
    axes = {EMBED: 24}
    for b in range(blocks):
        own = {DEPTH: 1, HEADS: heads, HEAD_DIM: 8, MLP: 96, TOKENS: tokens, QUERIES: tokens}
        own |= {rank_of(matrix): rank for matrix, rank in _RANKS.items()}
        own |= {bits_of(matrix): FLOAT_BITS for matrix in _RANKS}
        axes |= {axis_name(kind, str(b)): units for kind, units in own.items()}
    kept = {axis: protected for axis in axes if is_position(axis)} if protected else {}
    within = {axis_name(QUERIES, str(b)): axis_name(TOKENS, str(b)) for b in range(blocks)}
    matrices = {m.rank: m for b in range(blocks) for m in _matrices(str(b))}
    return Outline(f"vit_of_{blocks}_blocks", axes, kept, within, matrices=matrices)


def _matrices(block: str) -> Iterator[Matrix]:
    """The matrices of a block of `vit`: outputs, inputs."""
    attention, hidden = (axis_name(HEADS, block), axis_name(HEAD_DIM, block)), (axis_name(MLP, block),)
    sides = {"qkv": (("3", *attention), (EMBED,)), "proj": ((EMBED,), attention)}
    sides |= {"fc1": (hidden, (EMBED,)), "fc2": ((EMBED,), hidden)}
    return (Matrix(axis_name(rank_of(name), block), *of) for name, of in sides.items())


def swin(depths: Sequence[int] = (2, 3), heads: Sequence[int] = (3, 6)) -> Outline:
    """A Swin as an outline: stages of growing width, no tokens to drop."""
    axes: dict[str, int] = {}
    for s, (depth, width) in enumerate(zip(depths, heads, strict=True)):
        axes[axis_name(EMBED, str(s))] = 8 * width
        for b in range(depth):
            axes |= {axis_name(kind, f"{s}.{b}"): n for kind, n in ((DEPTH, 1), (HEADS, width), (MLP, 32 * width))}
    return Outline("swin_of_stages", axes)


OUTLINES = (
    vit(),
    vit(12, 6, tokens=16, protected=0),
    vit(3, 3, tokens=19, protected=3),
    swin(),
    swin((2, 2, 12), (4, 8, 16)),
)
"""Small and large, with and without class tokens, with and without stages, with indices of two digits."""

NONSENSE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**12,
    0.5,
    float("nan"),
    float("inf"),
    "x",
    "",
    [],
    [[]],
    [None],
    [True],
    [-1],
    [0],
    [1, 1],
)
MORE_NONSENSE: tuple[Any, ...] = (
    [0.5, 1],
    [1.5],
    ["x"],
    [10**9],
    {},
    {"from": 1},
    {"from": 3, "to": 1, "step": 1},
    {"from": 0, "to": 1, "step": 0},
)


class ChoiceSuite:
    """Inherit it in a test file. `outlines` may be replaced by others, such as those of models of your own family."""

    outlines: ClassVar[Sequence[Outline]] = OUTLINES

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_the_file_name_is_the_main_key(self, kind: str) -> None:
        """A kind has a field of its own name without a default, and every example gives it."""
        plugin = find_kind(kind)
        assert kind in {field.name for field in fields(plugin)}
        assert plugin.examples(), "an example is what the other tests need"
        for name, mapping in plugin.examples():
            assert kind in mapping, f"the example '{name}' of '{kind}' lacks its main key"

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_every_example_suits_a_model(self, kind: str) -> None:
        """An example that no outline takes shows nothing."""
        for name, mapping in find_kind(kind).examples():
            taken = [outline.model for outline in self.outlines if _space(name, mapping, outline) is not None]
            assert taken, f"no outline takes {name}: {json.dumps(dict(mapping))}"

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_values_ascend_in_size(self, kind: str) -> None:
        """No value is larger than the next on any axis, and neighbours differ."""
        for choice, _ in self.made(kind):
            assert choice.kind == kind
            assert len(set(choice.values)) == len(choice.values)
            for low, high in pairwise(choice.sizes):
                assert low != high, f"{choice.name}: two values of the same sizes {low}"
                assert all(low[axis] <= high[axis] for axis in choice.axes), f"{choice.name}: {low} before {high}"

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_sizes_lie_within_the_axes(self, kind: str) -> None:
        """At least the protected units and one unit stay (a block may go), at most all of them."""
        for choice, outline in self.made(kind):
            for axis in choice.axes:
                least = 0 if dimension(axis) == DEPTH else max(1, outline.protected.get(axis, 0))
                for sizes in choice.sizes:
                    assert least <= sizes[axis] <= outline.axes[axis], f"{choice.name}: {axis} = {sizes[axis]}"

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_names_say_where_a_choice_acts(self, kind: str) -> None:
        """A choice is called NAME, or NAME.INDEX with the index that the axes of its first dimension begin with.

        The first block comes first.
        """
        for name, mapping in find_kind(kind).examples():
            for space in filter(None, (_space(name, mapping, outline) for outline in self.outlines)):
                positions = [position(index(choice)) for choice in space]
                assert positions == sorted(positions)
                for choice in space.values():
                    assert dimension(choice.name) == name
                    begin = position(index(choice.name))
                    own = [axis for axis in choice.axes if dimension(axis) == dimension(choice.axes[0])]
                    assert all(position(index(axis))[: len(begin)] == begin for axis in own)

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_architectures_survive_json_and_tables(self, kind: str) -> None:
        """What a space draws is of the space, and is the same after JSON and after a table."""
        rng = np.random.default_rng(0)
        for space in self.spaces(kind):
            drawn = [space.smallest, space.largest, *(space.sample(rng) for _ in range(5))]
            assert [Architecture.from_json(str(a)) for a in drawn] == drawn
            assert space.from_table(space.to_table(drawn)) == drawn
            for architecture in drawn:
                space.check(architecture)
                for axis, size in space.sizes(architecture).items():
                    assert size <= space.outline.axes[axis]

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_the_count_is_that_of_the_canonical_rows(self, kind: str) -> None:
        """Where all rows can be listed, exactly the canonical ones are counted, and `check` accepts exactly these."""
        for space in self.spaces(kind):
            if np.prod(np.array(space.n_values, float)) > 5000:
                continue
            rows = np.indices(space.n_values).reshape(len(space), -1).T
            same = (space.canonical(rows) == rows).all(axis=1)
            assert space.size == same.sum()
            for row, good in zip(rows[:200], same[:200], strict=True):
                try:
                    space.check(space.from_table(row)[0])
                except SpaceError:
                    assert not good
                else:
                    assert good

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_nonsense_is_reported(self, kind: str) -> None:
        """Whatever stands at a key, the answer is a space or a list of faults, each with place, key, found and
        allowed.
        """
        keys = [field.name for field in fields(find_kind(kind))] + ["nonsense"]
        faulty = 0
        for outline in self.outlines:
            for name, mapping in find_kind(kind).examples():
                for key in keys:
                    for value in (*NONSENSE, *MORE_NONSENSE):
                        faulty += _faults(name, {**mapping, key: value}, outline)
        assert faulty > 100, "hardly anything was found to be wrong with nonsense"

    @pytest.mark.parametrize("kind", names(KINDS))
    def test_a_strange_name_is_reported(self, kind: str) -> None:
        """A choice whose key is no axis of the model is a fault unless the mapping says which axes it sets."""
        for outline in self.outlines:
            for _, mapping in find_kind(kind).examples():
                _faults("strange", mapping, outline)
                assert _faults("with.dot", mapping, outline)

    def spaces(self, kind: str) -> Iterator[SearchSpace]:
        """The spaces that the kind's examples make on the outlines."""
        for name, mapping in find_kind(kind).examples():
            for outline in self.outlines:
                space = _space(name, mapping, outline)
                if space is not None:
                    yield space

    def made(self, kind: str) -> Iterator[tuple[Choice, Outline]]:
        """The choices of these spaces, each with its outline."""
        for space in self.spaces(kind):
            for choice in space.values():
                yield choice, space.outline


def _text(name: str, mapping: Mapping[str, Any], outline: Outline) -> str:
    """YAML of a space with one choice; numbers that JSON does not know are written as YAML writes them."""
    text = json.dumps({"model": outline.model, "choices": {name: dict(mapping)}})
    return text.replace("NaN", ".nan").replace("Infinity", ".inf")


def _space(name: str, mapping: Mapping[str, Any], outline: Outline) -> SearchSpace | None:
    try:
        return SearchSpace.from_yaml(_text(name, mapping, outline), outline=outline)
    except ConfigError:
        return None


def _faults(name: str, mapping: Mapping[str, Any], outline: Outline) -> bool:
    """Whether the mapping is refused, with faults that are complete; otherwise it makes a space."""
    faults: Sequence[Fault] = ()
    try:
        SearchSpace.from_yaml(_text(name, mapping, outline), outline=outline)
    except ConfigError as error:
        faults = error.faults
        assert faults, "an error without faults"
    for fault in faults:
        assert fault.where.startswith("<text>:1:"), fault
        assert fault.key.startswith("choices"), fault
        assert fault.found, fault
        assert fault.allowed, fault
    return bool(faults)
