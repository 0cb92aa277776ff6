"""The sample that stands for all architectures within a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from studies_fakes import TINY

from nas.errors import RunError
from nas.searchspaces import Architecture, Limit
from nas.searchspaces.bands import bands
from nas.studies.file.resolve import resolve
from nas.studies.tau.strata import POOL, stratified

STUDY = resolve(TINY)
COST = STUDY.cost


def measure(architecture: Architecture) -> Mapping[str, float]:
    """Coarse, with ties, and not a matter of the MACs."""
    return {"accuracy": (int(architecture.digest, 16) % 20) / 20}


def macs(architecture: Architecture) -> int:
    return int(COST.macs(architecture)[0])


def test_bands_part_what_is_within_the_limit() -> None:
    found = bands(COST, STUDY.limit, 4)
    assert STUDY.limit is not None
    everything = COST.space.from_table(np.array(list(np.ndindex(*COST.space.n_values))))
    for architecture in everything:
        places = sum(band.allows(architecture) for band in found)
        assert places == int(STUDY.limit.allows(architecture)), macs(architecture)
    widths = [high - low for low, high in (band.bounds["macs"] for band in found)]
    assert max(widths) - min(widths) <= 2


def test_bands_keep_other_bounds_and_leave_empty_ones_out() -> None:
    limit = Limit(COST, params="50%")
    found = bands(COST, limit, 5)
    assert 0 < len(found) < 5
    assert {band.bounds["params"] for band in found} == {limit.bounds["params"]}


def test_a_sample_has_members_in_all_bands_and_in_all_groups_of_accuracy() -> None:
    seen: list[Architecture] = []

    def counted(architecture: Architecture) -> Mapping[str, float]:
        seen.append(architecture)
        return measure(architecture)

    found = stratified(COST, STUDY.limit, 12, counted, "accuracy", seed=1)
    assert STUDY.limit is not None
    assert Counter(member.band for member in found) == {0: 3, 1: 3, 2: 3, 3: 3}
    assert len({member.architecture for member in found}) == 12
    assert all(STUDY.limit.allows(member.architecture) for member in found)
    assert len(seen) == len(set(seen)) <= POOL * 12
    limits = bands(COST, STUDY.limit, 4)
    for number, band in enumerate(limits):
        members = [member for member in found if member.band == number]
        assert all(band.allows(member.architecture) for member in members)
        pool = sorted(measure(a)["accuracy"] for a in seen if band.allows(a))
        groups = [(group[0], group[-1]) for group in np.array_split(pool, 3)]
        for member, (low, high) in zip(members, groups, strict=True):
            assert low <= member.shared["accuracy"] <= high


def test_a_sample_follows_from_the_seed() -> None:
    def digests(seed: int) -> list[str]:
        return [member.architecture.digest for member in stratified(COST, STUDY.limit, 7, measure, "accuracy", seed)]

    assert digests(1) == digests(1) != digests(2)


def test_without_a_limit_all_sizes_are_sampled() -> None:
    found = stratified(COST, None, 16, measure, "accuracy", seed=0)
    sizes = [macs(member.architecture) for member in found]
    least, most = macs(COST.space.smallest), macs(COST.space.largest)
    assert min(sizes) < least + (most - least) / 4
    assert max(sizes) > most - (most - least) / 4


def test_bands_with_few_architectures_give_what_they_have_and_others_more() -> None:
    limit = Limit(COST, macs=(None, macs(COST.space.smallest) + 2100))
    total = limit.lattice.count
    assert 3 <= total < 12
    found = stratified(COST, limit, total, measure, "accuracy", seed=0)
    assert len({member.architecture for member in found}) == total
    with pytest.raises(RunError, match=rf"architectures: found 12, .* gave {total} different ones; ask for fewer"):
        stratified(COST, limit, 12, measure, "accuracy", seed=0)
