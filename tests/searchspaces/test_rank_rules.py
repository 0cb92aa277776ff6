"""Ranks that save nothing: values that are one network have one spelling, and it alone is counted and drawn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from space_fakes import FakeCost, rows, space_of

from nas.errors import ConfigError, SpaceError
from nas.quantities import Matrix
from nas.searchspaces import Architecture, Limit, Outline, SearchSpace
from nas.searchspaces.counting.elimination import steps

BLOCKS = 3


def vit(blocks: int = BLOCKS) -> Outline:
    """fc1 is 12 x 8 and pays below rank 4.8; proj is 8 x 6 and pays below 3.43."""
    axes = {"embed": 8}
    within, matrices = {}, {}
    for b in range(blocks):
        axes |= {f"depth.{b}": 1, f"heads.{b}": 3, f"head_dim.{b}": 2, f"mlp.{b}": 12, f"fc1_in.{b}": 8}
        axes |= {f"fc1_rank.{b}": 8, f"proj_rank.{b}": 6}
        within[f"fc1_in.{b}"] = "embed"
        matrices[f"fc1_rank.{b}"] = Matrix(f"fc1_rank.{b}", (f"mlp.{b}",), (f"fc1_in.{b}",))
        matrices[f"proj_rank.{b}"] = Matrix(f"proj_rank.{b}", ("embed",), (f"heads.{b}", f"head_dim.{b}"))
    return Outline("small_vit", axes, within=within, matrices=matrices)


SPACES = {
    "alone": {"fc1": "{rank: [2, 4, 5, 8]}"},
    "cut outputs": {"fc1": "{rank: [1, 2, 4, 6, 8]}", "mlp": "{size: [3, 6, 12]}"},
    "cut inputs": {"fc1": "{rank: [1, 2, 4, 8], per: model}", "fc1_in": "{size: [2, 4, 8], per: model}"},
    "cut embedding, packed inputs": {
        "proj": "{rank: [1, 2, 3, 6]}", "embed": "{size: [2, 4, 8]}", "heads": "{size: [1, 2, 3], per: model}",
    },
    "two matrices": {
        "rank": "{rank: [0.125, 0.25, 0.5, 1.0], of: [fc1, proj], per: model}", "mlp": "{size: [2, 12]}",
    },
    "equal floors": {"rank": "{rank: [0.125, 0.2, 0.25, 0.3, 1.0], of: [fc1, proj]}", "mlp": "{size: [2], per: model}"},
    "all blocks together": {
        "fc1": "{rank: [1, 2, 4, 8], per: model}", "mlp": "{size: [2, 4, 12]}", "depth": "{depth: [1, 2, 3]}",
    },
    "skipped blocks": {"fc1": "{rank: [2, 8]}", "mlp": "{size: [2, 12], per: model}", "depth": "{depth: [1, 3]}"},
    "rank and width in one": {"both": "{size: [0.25, 0.5, 1.0], of: [mlp, fc1_rank]}", "proj": "{rank: [2, 5, 6]}"},
    "last value is factored": {"fc1": "{rank: [1, 2, 4]}", "mlp": "{size: [2, 12]}"},
}  # fmt: skip


def made(name: str) -> SearchSpace:
    return space_of(vit(), **SPACES[name])


def network(space: SearchSpace, row: np.ndarray) -> tuple:
    """What a row computes with: sizes, with the ranks of the matrices that are factored; nothing of skipped blocks."""
    sizes = dict(space.outline.axes)
    for choice, value in zip(space.values(), row, strict=True):
        sizes |= choice.sizes[value]
    kept = {}
    for axis in sorted(space.axes):
        block = space.outline.block(axis)
        if block and not sizes[block]:
            continue
        if axis in space.outline.matrices:
            matrix = space.outline.matrices[axis]
            m, n = (int(np.prod([size_of(a, sizes, space) for a in s])) for s in (matrix.outputs, matrix.inputs))
            factored = sizes[axis] * (m + n) < m * n
            kept[axis] = sizes[axis] if factored else "whole"
        else:
            kept[axis] = sizes[axis]
    return tuple(kept.items())


def size_of(atom: str, sizes: dict[str, int], space: SearchSpace) -> int:
    parent = space.outline.within.get(atom)
    return sizes[atom] if atom in space.axes or parent is None else sizes[parent]


@pytest.mark.parametrize("name", SPACES)
def test_every_network_has_one_spelling(name: str) -> None:
    space = made(name)
    every = np.array(list(product(*map(range, space.n_values))))
    canonical = space.canonical(every)
    networks = [network(space, row) for row in every]
    # Each row and its canonical one are one network, and each network has a single canonical row.
    assert [network(space, row) for row in canonical] == networks
    spellings: dict[tuple, set[bytes]] = {}
    for of, row in zip(networks, canonical, strict=True):
        spellings.setdefault(of, set()).add(row.tobytes())
    assert max(map(len, spellings.values())) == 1
    assert (space.canonical(canonical) == canonical).all()
    # Counted, allowed by the rules, drawn and accepted are these and no others.
    known = {row.tobytes() for row in canonical}
    assert space.size == len(spellings) == len(known)
    allowed = np.logical_and.reduce([rule(every) for rule in space.rules]) if space.rules else np.ones(len(every), bool)
    assert {row.tobytes() for row in every[allowed]} == known
    drawn = space.sample_table(np.random.default_rng(0), 30 * len(known))
    assert {row.tobytes() for row in drawn} == known
    for row in every[:: max(1, len(every) // 40)]:
        architecture = space.from_table(row[None])[0]
        if row.tobytes() in known:
            space.check(architecture)
            assert space.spelled(architecture) == architecture
        else:
            with pytest.raises(SpaceError, match=r"same network|switched off"):
                space.check(architecture)


def test_the_issues_matrix_is_whole_from_its_break_even_on() -> None:
    """fc1 192 x 48 at 0.875 of its rank costs as much as whole: 42 x 240 = 10,080 numbers, not 9,216."""
    axes = {"embed": 48, "mlp.0": 192, "fc1_rank.0": 48}
    outline = Outline("m", axes, matrices={"fc1_rank.0": Matrix("fc1_rank.0", ("mlp.0",), ("embed",))})
    space = space_of(outline, fc1="{rank: [0.5, 0.75, 0.875, 1.0]}")
    assert space.size == 3  # 24 and 36 are below 38.4, 42 is not
    assert space.spelled({"fc1.0": 0.875}) == Architecture({"fc1.0": 1})
    with pytest.raises(SpaceError, match=r"found 0.875; allowed: 1.0, which is the same network, since two factors"):
        space.check({"fc1.0": 0.875})
    assert [a["fc1.0"] for a in space.neighbours({"fc1.0": 1})] == [0.75]
    assert [a["fc1.0"] for a in space.neighbours({"fc1.0": 0.75})] == [0.5, 1]


@pytest.mark.parametrize("name", ["two matrices", "all blocks together", "cut inputs"])
def test_neighbours_are_one_network_away_and_all_is_reached(name: str) -> None:
    space = made(name)
    reached, todo = {space.largest}, [space.largest]
    while todo:
        for neighbour in space.neighbours(todo.pop()):
            space.check(neighbour)
            if neighbour not in reached:
                reached.add(neighbour)
                todo.append(neighbour)
    assert len(reached) == space.size


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_limit_counts_and_draws_what_a_list_of_all_says(share: float) -> None:
    """The rule of a rank that all blocks share is passed on from block to block, beside the sums of the limit."""
    space = space_of(vit(), **SPACES["all blocks together"], proj="{rank: [1, 2, 6], per: model}")
    cost = FakeCost(space)
    limit = Limit(cost, macs=share * cost.base("macs"))
    listed = rows(space)
    within = {row.tobytes() for row in listed[limit.allows(listed)]}
    assert limit.lattice.count == len(within)
    assert {row.tobytes() for row in space.sample_table(np.random.default_rng(0), 40 * len(within), limit)} == within
    best = limit.lattice.best([np.arange(n, dtype=float) for n in space.n_values])
    assert best.tobytes() in within
    assert best.sum() == max(np.frombuffer(row, np.int64).sum() for row in within)
    assert space.nearest(space.largest, limit) == space.from_table(limit.lattice.best(
        [-np.abs(np.arange(n) - (n - 1)).astype(float) for n in space.n_values]))[0]  # fmt: skip


def test_a_rank_of_many_blocks_is_counted_without_a_table_of_all() -> None:
    """Whether any of 12 blocks is factored depends on 14 choices: 4^12 combinations, and more, as one table."""
    space = space_of(vit(12), fc1="{rank: [1, 2, 8], per: model}", mlp="{size: [1, 2, 4, 12]}",
                     depth="{depth: [8, 10, 12]}")  # fmt: skip
    widest = max(step.follow.size for step in steps(space.n_values, space.rules, ()))
    assert widest < 1000
    # A rank of 1 is told from 2 where any block has 4 or 12 hidden units (2 pays there; 1 alone at 2): by hand, of the
    # n blocks that are there: 1 needs one block above 1 unit, 2 needs one above 2, and 8 is always told.
    assert space.size == sum((4**n - 1**n) + (4**n - 2**n) + 4**n for n in (8, 10, 12))
    drawn = space.sample_table(np.random.default_rng(0), 200)
    assert (space.canonical(drawn) == drawn).all()


def test_an_outline_without_matrices_tells_all_ranks_apart() -> None:
    assert space_of(Outline("m", {"fc1_rank.0": 24}), fc1="{rank: [3, 20, 24]}").size == 3


def test_ranks_are_no_chain() -> None:
    with pytest.raises(ConfigError, match="a rank, fc1_rank; allowed: tokens or sizes"):
        space_of(vit(), fc1_rank="{keep: [0.5, 1.0]}")
