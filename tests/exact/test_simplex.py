from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.exact.simplex import lowest_minimiser, project


def test_lowest_minimiser_takes_the_first_of_equals() -> None:
    third = 1 / 3
    costs = np.array([[1.0, 0.1 + 0.2, 0.3], [third, 2.0, third], [3.0, 2.0, 1.0]])
    assert lowest_minimiser(costs, 1e-12).tolist() == [1, 0, 2]
    assert lowest_minimiser(costs, 0.0).tolist() == [2, 0, 2]  # 0.1 + 0.2 is above 0.3 in the last bit


def nearest(row: list[float]) -> np.ndarray:
    """The projection by brute force: the nearest of the points that are nearest in the affine hull of a support."""
    best, found = np.inf, np.zeros(len(row))
    for size in range(1, len(row) + 1):
        for support in combinations(range(len(row)), size):
            point = np.zeros(len(row))
            kept = np.array(row)[list(support)]
            point[list(support)] = kept + (1 - kept.sum()) / size
            if point.min() >= 0 and (distance := float(np.sum((point - row) ** 2))) < best:
                best, found = distance, point
    return found


def projected(row: list[float]) -> np.ndarray:
    return project(np.array([row]), np.array([len(row)]))[0]


moderate = st.floats(-20, 20)
vectors = st.lists(moderate, min_size=1, max_size=6)


@given(vectors)
def test_project_is_the_nearest_distribution(row: list[float]) -> None:
    np.testing.assert_allclose(projected(row), nearest(row), rtol=0, atol=1e-12)


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, max_size=40))
def test_project_satisfies_the_optimality_conditions(row: list[float]) -> None:
    # KKT: what is kept was lowered by one theta, what is dropped lies at or below it.
    point = projected(row)
    assert point.min() >= 0
    assert point.sum() == pytest.approx(1, abs=1e-12)
    lowered = np.array(row) - max(row) - point
    theta = lowered[point > 0]
    np.testing.assert_allclose(theta, theta[0], rtol=0, atol=1e-12)
    assert (lowered <= theta[0] + 1e-12).all()


@given(vectors)
def test_project_is_idempotent(row: list[float]) -> None:
    np.testing.assert_allclose(projected(projected(row).tolist()), projected(row), rtol=0, atol=1e-15)


@given(vectors, st.floats(-1e3, 1e3))
def test_project_ignores_a_constant(row: list[float], constant: float) -> None:
    np.testing.assert_allclose(projected([x + constant for x in row]), projected(row), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([7.0], [1.0]),
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ([1.0, 1.0, 1.0, 1.0], [0.25, 0.25, 0.25, 0.25]),
        ([2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
        ([2.0, 1.0, 2.0], [0.5, 0.0, 0.5]),  # theta = 1.5 by the two; 1 lies below
        ([0.5, 0.0, -0.5], [0.75, 0.25, 0.0]),  # theta = -0.25
        ([1e300, -1e300, 0.0], [1.0, 0.0, 0.0]),
        ([1e16, 1e16, 0.0], [0.5, 0.5, 0.0]),
        ([1.0, 0.0, 0.0], [1.0, 0.0, 0.0]),  # the others lie on theta = 0 itself
    ],
)
def test_project_by_hand(row: list[float], expected: list[float]) -> None:
    assert projected(row).tolist() == expected


def test_project_leaves_illegal_actions_at_zero() -> None:
    rows = np.array([[0.1, 0.1, 9.0], [9.0, 0.0, 0.0], [-3.0, 9.0, 9.0]])
    assert project(rows, np.array([2, 3, 1])).tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
