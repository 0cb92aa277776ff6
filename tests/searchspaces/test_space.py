from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_fakes import FakeCost, deit, rows, small, space_of, swin

from nas.errors import SpaceError
from nas.searchspaces import Architecture, Limit, SearchSpace

COUPLED = {
    "depth": "{depth: [1, 2, 3]}",
    "tokens": "{keep: [0.25, 0.5, 1.0], order: never-grows}",
    "heads": "{size: [1, 3]}",
}


@pytest.fixture(scope="module")
def coupled() -> SearchSpace:
    return space_of(small(), **COUPLED)


@st.composite
def spaces(draw):
    """Small spaces of every shape: with and without depth, tokens per block or per model, in any order."""
    shares = draw(st.sampled_from(["[0.25, 0.5, 1.0]", "[0.0, 1.0]"]))
    level = draw(st.sampled_from(["block", "model"]))
    bodies = {
        "depth": draw(st.sampled_from(["{depth: [1, 3]}", "{depth: [2, 3]}", "{depth: [3]}"])),
        "tokens": f"{{keep: {shares}, per: {level}}}",
        "heads": draw(st.sampled_from(["{size: [1, 3]}", "{size: [1, 2, 3], per: model}", "{size: [2]}"])),
        "mlp": "{size: [0.5, 1.0]}",
    }
    names = draw(st.lists(st.sampled_from(list(bodies)), min_size=1, max_size=4, unique=True))
    return space_of(small(), **{name: bodies[name] for name in names})


def test_a_space_is_a_mapping_of_choices_in_the_order_of_the_yaml(coupled):
    assert list(coupled) == ["depth", *(f"tokens.{b}" for b in range(3)), *(f"heads.{b}" for b in range(3))]
    assert coupled["heads.1"].values == (1, 3)
    assert len(coupled) == 7
    assert coupled.n_values == (3, 3, 3, 3, 2, 2, 2)
    assert "small_vit, 7 choices" in repr(coupled)


def test_the_size_of_spaces_that_can_be_counted_by_hand(coupled):
    assert space_of(deit(), heads="{size: [1, 2, 3]}", mlp="{size: [192, 384, 576, 768]}").size == 12**12
    # Chains of d values out of 3 that never grow: C(d + 2, 2) of them. Blocks that are off count once.
    assert coupled.size == 3 * 2 + 6 * 4 + 10 * 8
    assert space_of(deit(), tokens="{keep: [0.5, 0.7, 0.85, 1.0]}").size == 455  # C(15, 3)


def test_the_size_is_exact_beyond_floats():
    space = space_of(swin("small"), mlp="{size: {from: 1, to: 384, step: 1}}")
    assert space.size == 384**24
    assert "E+62" in repr(space) or "e+62" in repr(space)


def test_largest_and_smallest(coupled):
    assert coupled.sizes(coupled.largest) == {
        axis: size for axis, size in coupled.outline.axes.items() if not axis.startswith(("embed", "mlp"))
    }
    smallest = coupled.smallest
    assert [smallest[name] for name in ("depth", "tokens.0", "heads.0")] == [1, 0.25, 1]
    assert [smallest[name] for name in ("tokens.1", "heads.2")] == [1, 3], "what is switched off is at its last value"
    for architecture in (coupled.largest, smallest):
        coupled.check(architecture)


@settings(deadline=None, max_examples=40)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_rules_canonical_and_count_agree_on_every_row(space, seed):
    table = np.indices(space.n_values).reshape(len(space), -1).T
    canonical = space.canonical(table)
    fixed = (canonical == table).all(axis=1)
    allowed = np.ones(len(table), bool)
    for rule in space.rules:
        allowed &= rule(table)
    assert (allowed == fixed).all()
    assert (space.canonical(canonical) == canonical).all()
    assert space.size == fixed.sum()
    drawn = space.sample_table(np.random.default_rng(seed), 50)
    assert {tuple(row) for row in drawn} <= {tuple(row) for row in table[fixed]}


@settings(deadline=None, max_examples=20)
@given(spaces())
def test_rules_say_what_they_mean(space):
    """Independent of tables and factors: read the sizes of each architecture."""
    for architecture in space.from_table(rows(space)):
        sizes = space.sizes(architecture)
        alive = [b for b in range(3) if sizes.get(f"depth.{b}", 1)]
        if "tokens.0" in sizes:
            assert all(sizes[f"tokens.{a}"] >= sizes[f"tokens.{b}"] for a, b in pairwise(alive))
        for name, choice in space.items():
            block = name.partition(".")[2]
            if block and int(block) not in alive:
                assert architecture[name] == choice.values[-1]


def test_tokens_never_grow_across_stages_whatever_blocks_are_off():
    outline = type(small())(
        "staged", {f"{f}.{s}.{b}": n for f, n in (("depth", 1), ("tokens", 8)) for s in range(2) for b in range(3)}
    )
    space = space_of(outline, tokens="{keep: [2, 4, 8]}", depth="{depth: [1, 2, 3]}")
    table = np.indices(space.n_values).reshape(len(space), -1).T
    good = 0
    for row in table:
        sizes = {
            axis: size for choice, i in zip(space.values(), row, strict=True) for axis, size in choice.sizes[i].items()
        }
        tokens = [sizes[f"tokens.{s}.{b}"] for s in range(2) for b in range(3) if sizes[f"depth.{s}.{b}"]]
        off = [sizes[f"tokens.{s}.{b}"] for s in range(2) for b in range(3) if not sizes[f"depth.{s}.{b}"]]
        good += tokens == sorted(tokens, reverse=True) and set(off) <= {8}
    assert space.size == good == (space.canonical(table) == table).all(axis=1).sum()


def test_drawing_is_uniform_over_canonical_architectures(coupled):
    everything = {tuple(row): i for i, row in enumerate(rows(coupled))}
    n = 400 * len(everything)
    counts = np.bincount([everything[tuple(row)] for row in coupled.sample_table(np.random.default_rng(1), n)])
    chi = ((counts - 400) ** 2 / 400).sum()
    freedom = len(everything) - 1
    assert abs(chi - freedom) < 4 * np.sqrt(2 * freedom)


def test_drawing_is_repeatable_and_takes_numbers_only_from_the_generator(coupled):
    draws = [[coupled.sample(np.random.default_rng(seed)) for _ in range(3)] for seed in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads.0": 2}, r"choice 'heads.0': found 2; allowed: 1, 3"),
        ({"heads.0": True}, r"choice 'heads.0': found True; allowed: 1, 3"),
        ({"heads.0": "1"}, r"choice 'heads.0': found '1'; allowed: 1, 3"),
        ({"head.0": 1}, r"unknown choice 'head.0'; the space has 7 choices: .*; did you mean 'heads.0'\?"),
        ({"tokens.1": 0.5}, r"choice 'tokens.1': found 0.5; allowed: at most 0.25, since sizes never grow"),
        ({"depth": 2, "heads.2": 1}, r"choice 'heads.2': found 1; allowed: 3, since its block is switched off"),
    ],
)
def test_check_names_choice_found_and_allowed(coupled, change, message):
    base = {**coupled.largest, "tokens.0": 0.25, "tokens.1": 0.25, "tokens.2": 0.25}
    coupled.check(base)
    with pytest.raises(SpaceError, match=message):
        coupled.check({**base, "tokens.2": 1 if change.get("depth") else 0.25, **change})


def test_check_names_a_missing_choice(coupled):
    with pytest.raises(SpaceError, match=r"no value for choice 'depth'; allowed: 1, 2, 3"):
        coupled.check({name: value for name, value in coupled.largest.items() if name != "depth"})


def test_tables_and_architectures_are_two_forms_of_one(coupled):
    table = coupled.sample_table(np.random.default_rng(0), 20)
    architectures = coupled.from_table(table)
    assert (coupled.to_table(architectures) == table).all()
    assert (coupled.as_table(architectures[3]) == table[3:4]).all()
    assert (coupled.as_table(table[3]) == table[3:4]).all()
    assert (coupled.as_table(table.astype(np.int16)) == table).all()
    assert coupled.as_table([]).shape == (0, 7)
    assert coupled.as_table({"depth": 3, **coupled.largest}).shape == (1, 7)


@pytest.mark.parametrize(
    "table",
    [np.zeros((2, 6), int), np.zeros((2, 7)), np.full((1, 7), 2), np.full((1, 7), -1), np.zeros((1, 1, 7), int)],
)
def test_tables_of_another_space_are_refused(coupled, table):
    with pytest.raises(SpaceError):
        coupled.as_table(table)


def test_neighbours_are_all_that_one_step_can_make(coupled):
    for row in rows(coupled)[::7]:
        architecture = coupled.from_table(row)[0]
        found = list(coupled.neighbours(architecture))
        expected = set()
        for c in range(len(coupled)):
            for step in (-1, 1):
                changed = row.copy()
                changed[c] += step
                if 0 <= changed[c] < coupled.n_values[c]:
                    expected.add(coupled.from_table(coupled.canonical(changed))[0])
        assert set(found) == expected - {architecture}
        assert len(set(found)) == len(found)
        for neighbour in found:
            coupled.check(neighbour)


def test_a_space_of_one_architecture_has_no_neighbours_and_no_mutants():
    space = space_of(small(), heads="{size: [2]}")
    assert space.size == 1
    assert list(space.neighbours(space.largest)) == []
    assert space.mutate(space.largest, np.random.default_rng(0), 1.0) == space.largest


def test_crossover_takes_from_both_and_stays_in_the_space(coupled):
    rng = np.random.default_rng(0)
    a, b = coupled.largest, coupled.from_table(np.array([2, 0, 0, 0, 0, 0, 0]))[0]
    children = {coupled.crossover(a, b, rng) for _ in range(200)}
    assert len(children) > 10
    for child in children:
        coupled.check(child)
    assert {coupled.crossover(a, a, rng) for _ in range(5)} == {a}


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_mutants_differ_and_stay_in_the_space(coupled, rate):
    rng = np.random.default_rng(0)
    parents = coupled.from_table(rows(coupled))
    for parent in parents:
        child = coupled.mutate(parent, rng, rate)
        coupled.check(child)
        assert child != parent
    assert len({coupled.mutate(parents[50], rng, rate) for _ in range(100)}) > 5


def test_the_rate_of_mutation_is_that_of_redrawn_choices():
    space = space_of(deit(), mlp="{size: {from: 1, to: 100, step: 1}}")
    rng = np.random.default_rng(0)
    changed = [sum(space.mutate(space.largest, rng, 0.25)[n] != space.largest[n] for n in space) for _ in range(400)]
    assert abs(np.mean(changed) - 3.0) < 4 * 1.5 / np.sqrt(400)


@settings(deadline=None, max_examples=25)
@given(spaces(), st.integers(0, 2**32 - 1), st.floats(0.2, 1.0))
def test_nearest_is_the_nearest_of_all(space, seed, part):
    cost = FakeCost(space)
    everything = rows(space)
    costs = cost.additive("macs")(everything)
    limit = Limit(cost, macs=float(costs.min() + part * (costs.max() - costs.min())))
    feasible = everything[limit.allows(everything)]
    x = np.random.default_rng(seed).integers(0, space.n_values)
    found = space.nearest(x, limit)
    distance = np.abs(space.to_table([found])[0] - space.canonical(x)[0]).sum()
    assert limit.allows(found)
    assert distance == np.abs(feasible - space.canonical(x)).sum(axis=1).min()
    assert space.nearest(x) == space.from_table(space.canonical(x))[0]


def test_an_architecture_need_not_be_an_architecture_object(coupled):
    plain = dict(coupled.smallest)
    coupled.check(plain)
    assert coupled.sizes(plain) == coupled.sizes(Architecture(plain))
