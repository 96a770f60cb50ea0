from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sparring.metrics.resampling import BENIGN, Draws, Pool, drawn, fewer, judge


def parts(benign: int, again: int, attacked: int) -> np.ndarray:
    return np.repeat([0, 1, 2], [benign, again, attacked])


def test_resamples_are_of_whole_matches_and_of_the_observed_sizes() -> None:
    part = parts(8, 10, 6)
    draws = drawn(part, 50, np.random.default_rng(0))
    assert draws.first.shape == draws.second.shape == (151, 24)
    np.testing.assert_array_equal(draws.first[0], part == 0)
    np.testing.assert_array_equal(draws.second[0], part == 2)
    assert (draws.first.sum(axis=1) == 8).all() and (draws.second.sum(axis=1) == 6).all()
    first, second = draws.first[draws.bootstrap], draws.second[draws.bootstrap]
    assert not first[:, part != 0].any() and not second[:, part != 2].any() and first.max() > 1
    for span, left_out in ((draws.floor, 2), (draws.null, 1)):
        first, second = draws.first[span], draws.second[span]
        assert not (first * second).any() and (first + second).max() == 1  # disjoint
        assert not (first + second)[:, part == left_out].any()
        # Every match is equally often in the second sample.
        share = second[:, part != left_out].mean(axis=0)
        assert abs(share - 6 / (part != left_out).sum()).max() < 0.25


def test_there_are_no_resamples_of_too_few_matches() -> None:
    def kinds(*sizes: int) -> list[int]:
        draws = drawn(parts(*sizes), 20, np.random.default_rng(0))
        return [span.stop - span.start for span in (draws.bootstrap, draws.floor, draws.null)]

    assert kinds(5, 5, 5) == [20, 20, 20]
    assert kinds(4, 9, 9) == kinds(9, 9, 4) == [0, 0, 0]
    assert kinds(9, 4, 9) == kinds(9, 8, 9) == [20, 0, 20]  # no benign sample as large as the attacked one


def test_fewer_resamples_are_the_first_ones() -> None:
    draws = drawn(parts(6, 6, 6), 30, np.random.default_rng(0))
    kept = fewer(draws, 7)
    assert len(kept.first) == 1 + 3 * 7
    np.testing.assert_array_equal(kept.second[kept.floor], draws.second[draws.floor][:7])
    np.testing.assert_array_equal(kept.first[kept.null], draws.first[draws.null][:7])
    assert fewer(draws, 100).first.shape == draws.first.shape


def laid_out(value: float, bootstrap: list[float], floor: list[float], null: list[float]) -> tuple[np.ndarray, Draws]:
    sizes = np.cumsum([1, len(bootstrap), len(floor), len(null)])
    spans = [slice(int(a), int(b)) for a, b in itertools.pairwise(sizes)]
    return np.array([value, *bootstrap, *floor, *null]), Draws(
        np.zeros((sizes[-1], 1)), np.zeros((sizes[-1], 1)), *spans
    )


def test_floor_interval_and_p_by_hand() -> None:
    """Floors .1 .2 .3, mean .2. The bootstrap is .9 1.1 1.3: mean 1.1, so the bias is at least .1, and at most .2.

    Lower end: 1 - .2 - (1.3 - 1.1); upper end: 1 - .1 + (1.1 - .9). One of four permutations reaches 1: p = 2 / 5.
    """
    found = judge(*laid_out(1.0, [0.9, 1.1, 1.3], [0.1, 0.3, 0.2], [0.5, 1.0, 0.2, 0.9]))
    assert found == pytest.approx((1.0, 0.8, 0.6, 1.1, 0.2, 0.1, 0.3, 0.4))
    rough = judge(*laid_out(1.0, [0.9, 1.1, 1.3], [0.1, 0.3, 0.2], [0.5, 1.0, 0.2, 0.9]), smooth=False)
    assert (rough.low, rough.high) == pytest.approx((0.6, 1.0))


def test_infinite_values_have_a_p_value_and_no_interval() -> None:
    found = judge(*laid_out(math.inf, [math.inf] * 3, [0.1, 0.2, 0.3], [0.5, math.inf, 0.1]))
    assert (found.value, found.corrected, found.p) == (math.inf, math.inf, 0.5)
    assert math.isnan(found.low) and math.isnan(found.high)
    some = judge(*laid_out(1.0, [1.0, 1.2, math.inf], [0.1, 0.2, 0.3], [0.5]))
    assert (some.low, some.high) == pytest.approx((0.0, 1.0))  # the lower end cannot be told
    floor = judge(*laid_out(1.0, [1.0], [0.1, math.inf], [0.5]))
    assert floor.floor_high == math.inf and (floor.floor, floor.corrected) == pytest.approx((0.1, 0.9))


def test_resamples_that_failed_do_not_speak_for_the_attack() -> None:
    found = judge(*laid_out(1.0, [1.0, math.nan], [0.1, math.nan], [math.nan, 0.5, 0.5]))
    assert found.p == 0.5 and math.isnan(found.floor)
    nothing = judge(*laid_out(math.nan, [1.0], [0.1], [0.1]))
    assert all(math.isnan(part) for part in nothing)


def test_equal_distances_count_whatever_their_rounding() -> None:
    assert judge(*laid_out(0.3, [], [], [0.1 + 0.2, 0.1 * 3, 0.3])).p == 1.0


def test_a_pool_names_its_parts() -> None:
    pool = Pool(np.zeros((3, 1)), np.array([0, 0, 1]), np.array([BENIGN, BENIGN]))
    assert (pool.part[pool.match] == BENIGN).all()
