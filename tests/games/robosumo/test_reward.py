from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.games.robosumo.reward import STEP_LIMIT, Terms, lost, terms

coordinate = st.floats(-3, 3)
position = st.tuples(coordinate, coordinate, st.floats(0, 2))


def _batch(values: tuple) -> np.ndarray:
    return np.array([values], float)


def _one(
    before: tuple, after: tuple, lost: tuple = (False, False), late: bool = False, action: tuple | list = (0.0,)
) -> Terms:
    return terms(
        (_batch(before[0]), _batch(before[1])),
        (_batch(after[0]), _batch(after[1])),
        (np.array([lost[0]]), np.array([lost[1]])),
        np.array([late]),
        np.array([action], np.float32),
    )


def test_a_step_by_hand() -> None:
    # The robot goes from (1, 0) to (1.3, .4); the opponent from (1, 3) to (1, 2). Towards it is (0, 1) * 2,
    # so it came 0.4 m nearer by itself: 0.4 / 0.05 = 8 m/s, times 0.1 is 0.8.
    # Pushing: the opponent is sqrt(5) from the centre. Torques: 0.1 * (4 + 0.25) = 0.425.
    # Ring: |.|_max of the opponent minus own is 2 - 1.3 = 0.7 after and 3 - 1 = 2 before: -1.3.
    got = _one(((1, 0, 1), (1, 3, 1)), ((1.3, 0.4, 1), (1, 2, 1)), action=(2.0, -0.5))
    assert got.approach == pytest.approx(0.4)
    assert got.move == pytest.approx(0.8)
    assert got.push == pytest.approx(-10 * math.exp(-math.sqrt(5)))
    assert got.ctrl == pytest.approx(-0.425)
    assert got.ring == pytest.approx(-1.3)
    assert (got.win, got.lose, got.draw) == (0, 0, 0)
    assert got.reward == pytest.approx(0.8 - 10 * math.exp(-math.sqrt(5)) - 0.425)


def test_going_away_costs_nothing_but_is_told() -> None:
    got = _one(((0, 0, 1), (2, 0, 1)), ((-0.1, 0, 1), (2, 0, 1)))
    assert got.move == 0
    assert got.approach == pytest.approx(-0.1)


@pytest.mark.parametrize(("height", "low"), [(0.7, 0.0), (0.6, 0.0), (0.4, 0.01), (0.2, 0.02)])
def test_keeping_low_is_told_in_metre_seconds(height: float, low: float) -> None:
    got = _one(((0, 0, 1), (2, 0, 1)), ((0, 0, height), (2, 0, 0.3)))
    assert got.low == pytest.approx(low)  # a step lasts .05 s; below .6 m counts; the opponent's height does not
    assert got.reward == pytest.approx(-10 * math.exp(-2))  # it is for shaping only


@pytest.mark.parametrize(
    ("own", "opponent", "late", "main"),
    [
        (False, True, False, 2000),
        (True, False, False, -2000),
        (True, True, False, 0),
        (False, False, True, -1000),
        (False, True, True, 1000),
        (True, True, True, -1000),
    ],
)
def test_endings(own: bool, opponent: bool, late: bool, main: float) -> None:
    got = _one(((0, 0, 1), (1, 0, 1)), ((0, 0, 1), (1, 0, 1)), (own, opponent), late)
    assert got.win + got.lose + got.draw == main


def test_who_lost() -> None:
    at = [(0, 0, 0.29), (0, 0, 0.2899), (2.0999, 0, 1), (2.1, 0, 1), (-2.1, 0, 1), (1, -2.2, 1), (2.05, 2.05, 1)]
    assert lost(np.array(at), 2.0).tolist() == [False, True, False, True, True, True, False]
    assert not lost(np.array([(2.2, 0, 1)]), 3.0).any()
    assert STEP_LIMIT == 501


@given(st.lists(st.tuples(position, position), min_size=2, max_size=6))
def test_ring_is_a_potential_difference(path: list) -> None:
    total = sum(_one(a, b).ring.item() for a, b in itertools.pairwise(path))
    potential = [max(abs(o[0]), abs(o[1])) - max(abs(s[0]), abs(s[1])) for s, o in (path[0], path[-1])]
    assert total == pytest.approx(potential[1] - potential[0], abs=1e-9)


@given(position, position, position, position, st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=16))
def test_terms_keep_their_signs_and_sum_to_the_reward(a: tuple, b: tuple, c: tuple, d: tuple, action: list) -> None:
    got = _one((a, b), (c, d), action=action)
    assert got.move >= 0
    assert -10 <= got.push <= 0
    assert got.ctrl <= 0
    assert abs(got.approach) <= math.dist(a[:2], c[:2]) + 1e-9
    assert got.reward == pytest.approx(sum(got[:6]))
