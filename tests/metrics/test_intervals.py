from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.metrics.intervals import (
    Z95,
    mean_difference,
    mean_interval,
    newcombe,
    simultaneous,
    student,
    wilson,
    z_of,
)

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def bisect(f, low: float, high: float) -> float:
    """The root of the increasing function f."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


@given(counts)
def test_wilson_solves_the_score_equation(count: tuple[int, int]) -> None:
    k, n = count
    p = k / n

    def score(q: float) -> float:  # positive outside of the interval
        return (p - q) ** 2 - Z95**2 * q * (1 - q) / n

    low, high = wilson(k, n)
    assert low == pytest.approx(bisect(lambda q: -score(q), 0, p) if k else 0, abs=1e-9)
    assert high == pytest.approx(bisect(score, p, 1) if k < n else 1, abs=1e-9)
    assert 0 <= low <= p <= high <= 1


@given(counts)
def test_wilson_is_symmetric_and_monotone(count: tuple[int, int]) -> None:
    k, n = count
    low, high = wilson(k, n)
    mirrored_low, mirrored_high = wilson(n - k, n)
    assert (low, high) == (pytest.approx(1 - mirrored_high), pytest.approx(1 - mirrored_low))
    if k < n:
        assert wilson(k + 1, n)[0] > low
        assert wilson(k + 1, n)[1] > high
    if k > 0:
        narrow_low, narrow_high = wilson(4 * k, 4 * n)
        assert narrow_high - narrow_low < high - low


def test_wilson_edges() -> None:
    assert wilson(0, 10) == (0.0, pytest.approx(Z95**2 / (10 + Z95**2)))
    assert wilson(10, 10) == (pytest.approx(10 / (10 + Z95**2)), 1.0)
    for k, n in [(0, 0), (1, 0), (-1, 5), (6, 5), (0, -1)]:
        with pytest.raises(InputError, match="a rate needs n > 0"):
            wilson(k, n)


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize("n", [20, 100, 400])
def test_wilson_covers_the_rate_about_95_times_in_100(n: int) -> None:
    rates = np.linspace(0.005, 0.995, 199)
    intervals = [wilson(k, n) for k in range(n + 1)]
    coverage = [sum(binomial(k, n, p) for k, (lo, hi) in enumerate(intervals) if lo <= p <= hi) for p in rates]
    # Exact sums. The mean is close to nominal; near 0 and 1 the lattice of k makes single rates dip (Brown 2001).
    assert np.mean(coverage) == pytest.approx(0.95, abs=0.01)
    assert min(coverage) > 0.83


# Newcombe, Statistics in Medicine 17 (1998) 873-890, Table II, method 10 (score, no continuity correction).
NEWCOMBE = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("arguments", "expected"), NEWCOMBE)
def test_newcombe_reproduces_the_published_table(arguments: tuple, expected: tuple) -> None:
    assert newcombe(*arguments) == pytest.approx(expected, abs=5.1e-5)


@given(counts, counts)
def test_newcombe_is_antisymmetric_and_holds_the_difference(a: tuple[int, int], b: tuple[int, int]) -> None:
    low, high = newcombe(*a, *b)
    other_low, other_high = newcombe(*b, *a)
    assert (low, high) == (pytest.approx(-other_high), pytest.approx(-other_low))
    assert -1 - 1e-12 <= low <= a[0] / a[1] - b[0] / b[1] <= high <= 1 + 1e-12


def test_newcombe_needs_trials() -> None:
    with pytest.raises(InputError, match="a rate needs"):
        newcombe(1, 2, 0, 0)


def test_simultaneous_intervals_are_bonferronis() -> None:
    assert simultaneous(1) == 0.05 and simultaneous(5) == pytest.approx(0.01)
    assert z_of(simultaneous(1)) == pytest.approx(Z95)
    assert z_of(0.01) == pytest.approx(2.5758293035489)  # tables of the normal distribution


DRAWS = {
    "half": (lambda rng, shape: (rng.random(shape) < 0.5) * 1.0, 0.5),
    "uniform": (lambda rng, shape: rng.random(shape), 0.5),
    "skewed": (lambda rng, shape: rng.random(shape) ** 8, 1 / 9),
}


@pytest.mark.parametrize("n", [40, 96, 400])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.97, 0.99])
def test_the_interval_of_a_bounded_mean_covers_returns_that_hardly_ever_differ(n: int, p: float) -> None:
    # Returns of +1 with probability p, else -1, whose mean is 2 p - 1. The percentile bootstrap covered 32% of these
    # at p = .99 and n = 40, 56% at n = 96 and 91% at n = 400.
    values = np.where(np.random.default_rng(n).random((1000, n)) < p, 1.0, -1.0)
    low, high = mean_interval(values, -1, 1)
    assert np.mean((low <= 2 * p - 1) & (2 * p - 1 <= high)) >= 0.95
    assert (low < high).all() and (low >= -1).all() and (high <= 1).all()


@pytest.mark.parametrize("draw", DRAWS)
def test_the_interval_of_a_bounded_mean_covers_and_is_not_much_wider_than_the_normal_one(draw: str) -> None:
    sample, mean = DRAWS[draw]
    values = sample(np.random.default_rng(7), (1000, 200)) * 30 - 10
    low, high = mean_interval(values, -10, 20)
    assert np.mean((low <= 30 * mean - 10) & (30 * mean - 10 <= high)) >= 0.95
    assert np.mean(high - low) < 1.5 * np.mean(2 * Z95 * values.std(axis=1) / math.sqrt(200))


def test_equal_values_have_an_interval_all_the_same() -> None:
    # 40 values of 1 in [0, 1]. The capital against m is (1 + .75 / m (1 - m))^40, if the bet is as large as it may be;
    # it must reach 40 = 2 / .05 to refute m, so m = .75 / (.75 + 40^(1/40) - 1) at least remains.
    low, high = mean_interval(np.ones(40), 0, 1)
    assert 0.75 / (0.75 + 40 ** (1 / 40) - 1) - 0.05 < low < 0.9
    assert high == 1


def test_a_bounded_mean_is_turned_and_scaled_with_its_values() -> None:
    values = np.random.default_rng(3).random(60)
    low, high = mean_interval(values, 0, 1)
    assert mean_interval(-2 * values + 5, 3, 5) == (pytest.approx(5 - 2 * high), pytest.approx(5 - 2 * low))
    wide = mean_interval(values, 0, 1, 0.005)
    assert wide[0] < low < values.mean() < high < wide[1]
    assert np.array(mean_interval(np.stack([values, 1 - values]), 0, 1)) == pytest.approx(
        np.array([[low, 1 - high], [high, 1 - low]])
    )


@pytest.mark.parametrize(("n", "m"), [(40, 40), (96, 48), (60, 200)])
def test_the_interval_of_a_difference_of_means_covers_it(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    covered = []
    for _ in range(300):
        low, high = mean_difference((rng.random(n) < 0.9) * 4.0 - 1, rng.random(m) * 2 + 1, -1, 3)
        covered.append(low <= 0.9 * 4 - 1 - 2 <= high)
    assert np.mean(covered) >= 0.95


def test_the_difference_of_two_samples_of_equal_values() -> None:
    low, high = mean_difference(np.full(96, 66.0), np.zeros(96), 0, 66)
    assert 55 < low < 66 == high
    low, high = mean_difference(np.full(96, 5.0), np.full(96, 5.0), 0, 66)
    assert -7 < low < 0 < high < 7


@pytest.mark.parametrize(
    ("values", "low", "high", "message"),
    [
        ([], 0, 1, "needs finite values"),
        ([0.5, math.nan], 0, 1, "needs finite values"),
        ([0.5], 1, 1, "needs a finite range"),
        ([0.5], 0, math.inf, "needs a finite range"),
        ([2.0], 0, 1, r"must lie in \[0, 1\]"),
    ],
)
def test_what_has_no_interval_is_refused(values: list[float], low: float, high: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mean_interval(np.array(values), low, high)


def test_a_difference_needs_two_samples() -> None:
    with pytest.raises(InputError, match="needs values"):
        mean_difference(np.ones(3), np.ones(0), 0, 1)


def test_students_interval() -> None:
    """Of 1, 2, 3: mean 2, standard error 1/sqrt(3), t(.975, 2) = 4.302653 (any table of Student's distribution)."""
    mean, low, high = student([1.0, 2.0, 3.0])
    assert mean == 2 and low == pytest.approx(2 - 4.302653 / math.sqrt(3)) and high == pytest.approx(4 - low)
    alone = student([5.0])
    assert alone[0] == 5 and all(map(math.isnan, alone[1:]))
