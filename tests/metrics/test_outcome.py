from __future__ import annotations

import json
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.metrics.outcome import Z95, bootstrap, newcombe, summary, wilson
from sparring.types import NO_WINNER, Outcomes

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


def test_bootstrap_agrees_with_the_normal_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(3, 2, 4000)
    low, high = bootstrap(values, np.zeros(4000), rng)
    half = Z95 * values.std() / math.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_within_strata_ignores_what_lies_between_them() -> None:
    rng = np.random.default_rng(2)
    noise, strata = rng.normal(size=300), np.arange(300) % 3
    low, high = bootstrap(noise, strata, np.random.default_rng(3))
    shifted = bootstrap(noise + 1000.0 * strata, strata, np.random.default_rng(3))
    assert shifted == pytest.approx((low + 1000, high + 1000))


@given(hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e3, 1e3)), st.integers(0, 2**32))
def test_bootstrap_stays_within_the_values_and_repeats(values: np.ndarray, seed: int) -> None:
    strata = np.zeros(len(values))
    low, high = bootstrap(values, strata, np.random.default_rng(seed), resamples=50)
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9
    assert bootstrap(values, strata, np.random.default_rng(seed), resamples=50) == (low, high)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [[1.0, 2.0]]])
def test_bootstrap_refuses_what_has_no_interval(values: list) -> None:
    with pytest.raises(InputError, match="at least two finite values"):
        bootstrap(values, np.zeros(np.shape(values)), np.random.default_rng(0))


def test_summary_by_hand() -> None:
    outcomes = Outcomes(
        winner=np.array([1, 0, 1, NO_WINNER, 1, 1], np.int8),
        length=np.array([10, 20, 30, 40, 50, 999], np.int32),
        invalid=np.array([False] * 5 + [True]),
        returns={"ant0": np.array([-1.0, 5, -1, -3, -1, 777]), "ant1": np.array([2.0, -2, 2, -3, 2, 777])},
    )
    result = summary(outcomes, attacker=1, victim=0, agents=("ant0", "ant1"), rng=np.random.default_rng(0))
    # Five valid matches: the attacker (index 1) wins three, one is drawn, one is lost.
    assert (result["win"], result["draw"], result["loss"]) == (3 / 5, 1 / 5, 1 / 5)
    assert result["win_ci"] == list(wilson(3, 5))
    assert result["draw_ci"] == result["loss_ci"] == list(wilson(1, 5))
    assert (result["episodes"], result["invalid"], result["mean_length"]) == (5, 1, 30)
    assert result["victim_return"] == pytest.approx((-1 + 5 - 1 - 3 - 1) / 5)
    assert result["attacker_return"] == pytest.approx((2 - 2 + 2 - 3 + 2) / 5)
    low, high = result["victim_return_ci"]
    assert -3 <= low < result["victim_return"] < high <= 5
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result.keys() == {
        *("win", "win_ci", "draw", "draw_ci", "loss", "loss_ci", "episodes", "invalid", "mean_length"),
        *("victim_return", "victim_return_ci", "attacker_return", "attacker_return_ci"),
    }


def test_summary_of_one_match_and_of_none() -> None:
    one = Outcomes(
        np.array([0], np.int8), np.array([7], np.int32), np.array([False]), {"a": np.ones(1), "b": -np.ones(1)}
    )
    result = summary(one, attacker=0, victim=1, agents=("a", "b"), rng=np.random.default_rng(0))
    assert result["win_ci"] == list(wilson(1, 1))
    assert result["victim_return_ci"] is None
    with pytest.raises(InputError, match="none of the 1 matches is valid"):
        summary(one._replace(invalid=np.array([True])), 0, 1, ("a", "b"), np.random.default_rng(0))
