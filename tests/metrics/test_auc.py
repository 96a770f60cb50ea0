from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats

from sparring.metrics.auc import auc, clustered_variance, ranks_of, score_interval


def test_by_hand() -> None:
    # Pairs (attacked, benign): 3 > 1, 3 > 2, 2 > 1, and 2 = 2 counts half: 3.5 of 4.
    assert auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])) == 3.5 / 4


def test_ranks_are_those_of_scipy() -> None:
    scores = np.random.default_rng(0).integers(0, 9, (50, 4)).astype(float)
    np.testing.assert_array_equal(ranks_of(scores), scipy.stats.rankdata(scores, axis=0))
    np.testing.assert_array_equal(ranks_of(scores[:, 0]), scipy.stats.rankdata(scores[:, 0]))
    assert ranks_of(np.array([3.0])).tolist() == [1]


def test_columns_with_labels_of_their_own() -> None:
    scores = np.array([[0.0, 5.0], [1.0, 1.0], [2.0, 0.0]])
    labels = np.array([[False, True], [False, False], [True, False]])
    assert auc(scores, labels).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("d", [0.0, 0.5, 2.0])
def test_two_normal_distributions_a_distance_apart(d: float) -> None:
    """Closed form: P(Y + d > X) = Phi(d / sqrt 2) for independent standard normal X and Y."""
    rng = np.random.default_rng(0)
    n = 20_000
    scores = np.concatenate([rng.normal(0, 1, n), rng.normal(d, 1, n)])
    found = float(auc(scores, np.arange(2 * n) >= n))
    assert found == pytest.approx(NormalDist().cdf(d / math.sqrt(2)), abs=0.01)


def test_the_variance_of_independent_scores_is_the_closed_form() -> None:
    """Where nothing differs Var = (n + m + 1) / (12 n m) (Mann and Whitney 1947)."""
    n, rng = 400, np.random.default_rng(1)
    found = [clustered_variance(rng.normal(size=2 * n), np.arange(2 * n) >= n, np.arange(2 * n)) for _ in range(20)]
    assert np.mean(found) == pytest.approx((2 * n + 1) / (12 * n * n), rel=0.03)


def test_scores_that_are_repeated_within_a_match_say_nothing_more() -> None:
    rng = np.random.default_rng(2)
    scores, label, match = rng.normal(size=60), np.arange(60) >= 30, np.arange(60)
    once = clustered_variance(scores, label, match)
    # Ten copies: the same variance over matches, and a tenth of it if copies were taken for independent.
    scores, label, match = (np.repeat(x, 10) for x in (scores, label, match))
    assert clustered_variance(scores, label, match) == pytest.approx(once)
    assert clustered_variance(scores, label, np.arange(600)) == pytest.approx(once / 10, rel=0.05)


def test_the_interval_at_the_edge_is_that_of_a_rate() -> None:
    # Wilson's lower end for 40 of 40 with Student's quantile t = 2.0227 at 39: 40 / (40 + t^2) = .9072.
    assert score_interval(1.0, 0.0, 40) == (pytest.approx(0.90721, abs=1e-4), 1.0)
    assert score_interval(0.0, 0.0, 40) == (0.0, pytest.approx(1 - 0.90721, abs=1e-4))
    low, high = score_interval(0.5, 0.0004, 500)
    assert (low, high) == (pytest.approx(0.461, abs=0.001), pytest.approx(0.539, abs=0.001))
    assert score_interval(0.7, math.nan, 1) == (0.0, 1.0)
