"""Ranks and crowding distances, against their definitions."""

import numpy as np
import pytest

from nas.search.ranking import best_first, crowding_distances, non_dominated_ranks


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_ranks_peel_off_fronts(objectives: int) -> None:
    points = np.random.default_rng(0).integers(0, 8, size=(60, objectives)).astype(float)
    ranks = np.full(len(points), -1)
    for rank in range(len(points)):
        left = points[ranks < 0]
        front = [not any((p <= q).all() and (p < q).any() for p in left) for q in points]
        ranks[(ranks < 0) & front] = rank
    assert np.array_equal(non_dominated_ranks(points), ranks)


def test_equal_points_share_a_rank() -> None:
    assert non_dominated_ranks(np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 1.0]])).tolist() == [0, 0, 1]


def test_crowding_is_the_gap_between_neighbours() -> None:
    points = np.array([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0], [3.0, 1.0]])
    assert crowding_distances(points).tolist() == [np.inf, 3 / 4 + 3 / 4, np.inf, 3 / 4 + 3 / 4]
    assert crowding_distances(np.ones((3, 2))).tolist() == [0, 0, 0]


def test_best_first_with_one_objective_is_a_stable_sort() -> None:
    assert best_first(np.array([[2.0], [1.0], [2.0], [0.0]])) == [3, 1, 0, 2]


def test_best_first_prefers_rank_then_space() -> None:
    points = np.array([[5.0, 5.0], [0.0, 4.0], [0.1, 3.9], [2.0, 2.0], [4.0, 0.0]])
    order = best_first(points)
    assert set(order[:2]) == {1, 4}  # the ends of the front
    assert order[2:] == [3, 2, 0]
