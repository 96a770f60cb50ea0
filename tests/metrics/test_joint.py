from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from itertools import permutations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.metrics import joint
from sparring.metrics.classifier import total_variation_classifier
from sparring.metrics.joint import (
    median_bandwidth,
    mmd,
    wasserstein2_exact,
    wasserstein2_gaussian,
    wasserstein2_sliced,
)
from sparring.metrics.neighbours import kl_neighbours, total_variation_neighbours
from sparring.metrics.shift import sorted_squares

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(size=(40, 3)) * [1.0, 2.0, 0.5] + [0.5, 0.0, 1.0]
MATCH_X, MATCH_Y = np.arange(60) // 6, np.arange(40) // 5
samples = hnp.arrays(np.float64, (6, 2), elements=st.floats(-4, 4, width=16))


@settings(max_examples=20)
@given(samples, samples)
def test_exact_transport_is_the_best_of_all_assignments(x: np.ndarray, y: np.ndarray) -> None:
    cost = ((x[:, None] - y[None]) ** 2).sum(axis=2) / 2
    best = min(cost[np.arange(6), list(order)].mean() for order in permutations(range(6)))
    assert wasserstein2_exact(x, y).value == pytest.approx(best, abs=1e-9)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 10))
def test_exact_transport_in_one_dimension_is_that_of_sorted_values(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 1)), rng.normal(size=(m, 1))
    expected = sorted_squares(x, y)[0]
    assert wasserstein2_exact(x, y).value == pytest.approx(expected)
    assert wasserstein2_sliced(x, y) == pytest.approx(expected)  # there is one direction


def test_weights_of_exact_transport_count_as_copies() -> None:
    times = RNG.integers(1, 4, 60)
    copies = wasserstein2_exact(np.repeat(X, times, axis=0), Y).value
    assert wasserstein2_exact(X, Y, times).value == pytest.approx(copies)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (np.where(X > 1, np.nan, X), Y, "transport needs finite states"),  # POT gives 0 here
        (X, np.full_like(Y, np.inf), "transport needs finite states"),
        (X[:0], Y, "transport needs states"),  # POT crashes here
        (X, Y[:, :2], "transport needs states"),
    ],
)
def test_transport_that_fails_is_nan_with_a_reason_and_never_zero(x: np.ndarray, y: np.ndarray, reason: str) -> None:
    with np.errstate(invalid="ignore"):
        answer = wasserstein2_exact(x, y)
    assert math.isnan(answer.value) and answer.reason.startswith(reason)
    assert math.isnan(wasserstein2_exact(X, Y, np.zeros(60)).value)


def test_transport_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "_ITERATIONS", 3)
    answer = wasserstein2_exact(X, Y)
    assert math.isnan(answer.value) and answer.reason.startswith("transport did not converge: numItermax")


@pytest.mark.slow
def test_transport_loads_neither_torch_nor_jax_and_leaves_the_environment_alone() -> None:
    code = """
import os, sys
import numpy as np
from sparring.metrics.joint import wasserstein2_exact
before = dict(os.environ)
assert "ot" not in sys.modules
print(wasserstein2_exact(np.zeros((2, 1)), np.ones((3, 1))).value)
assert dict(os.environ) == before
print(*[m for m in ("jax", "torch", "tensorflow", "cupy") if m in sys.modules])
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("POT_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    assert done.stdout.split() == ["1.0"]


def test_gaussian_transport_by_the_closed_form() -> None:
    # Independent features: (difference of means)^2 + (difference of deviations)^2 in each.
    x, y = (s - s.mean(axis=0) for s in (X, Y))
    x, y = (s @ np.linalg.inv(np.linalg.cholesky(np.cov(s.T, bias=True)).T) for s in (x, y))
    found = wasserstein2_gaussian(x * [1, 2, 3], y * [2, 2, 1] + [1, 0, 2])
    assert found == pytest.approx((1 + 0 + 4 + 1 + 0 + 4) / 3)


@given(st.integers(1, 5), st.integers(0, 20))
def test_gaussian_transport_against_matrix_roots_and_singular_covariances(rank: int, seed: int) -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, rank)) @ rng.normal(size=(rank, 5))
    y = rng.normal(size=(40, 5))
    a, b = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a singular matrix
        root = np.real(np.asarray(sqrtm(b)))
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ a @ root), 0)).sum()
    expected = (((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * common) / 5
    assert wasserstein2_gaussian(x, y) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(0.2, 4), st.integers(0, 5))
def test_transport_of_a_sample_that_is_moved_and_scaled(shift: float, scale: float, seed: int) -> None:
    """x -> c + s (x - mean) is the gradient of a convex function, so it is the optimal map (Brenier)."""
    x = np.random.default_rng(seed).normal(size=(20, 3))
    moved = x.mean(axis=0) + scale * (x - x.mean(axis=0)) + shift
    expected = ((moved - x) ** 2).sum(axis=1).mean() / 3
    assert wasserstein2_exact(x, moved).value == pytest.approx(expected, abs=1e-9)
    assert wasserstein2_gaussian(x, moved) == pytest.approx(expected, abs=1e-5)
    assert wasserstein2_sliced(x, moved, 1000) == pytest.approx(expected, rel=0.2, abs=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 30))
def test_invariances_of_joint_distances(seed: int) -> None:
    """Rotating both samples, moving both and putting their rows in another order changes nothing."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order, other = rng.permutation(60), rng.permutation(40)
    u, v = X[order] @ turn + 2, Y[other] @ turn + 2
    assert wasserstein2_exact(u, v).value == pytest.approx(wasserstein2_exact(X, Y).value)
    assert wasserstein2_gaussian(u, v) == pytest.approx(wasserstein2_gaussian(X, Y))
    for distance in (mmd, kl_neighbours, total_variation_neighbours):
        expected = distance(X, Y, MATCH_X, MATCH_Y)
        assert distance(u, v, MATCH_X[order], MATCH_Y[other]) == pytest.approx(expected)
    assert wasserstein2_exact(Y, X).value == pytest.approx(wasserstein2_exact(X, Y).value)
    assert mmd(Y, X, MATCH_Y, MATCH_X) == pytest.approx(mmd(X, Y, MATCH_X, MATCH_Y))


def test_mmd_by_a_double_loop() -> None:
    width = 1.7

    def mean(a: np.ndarray, b: np.ndarray, apart: np.ndarray) -> float:
        total, count = 0.0, 0
        for i in range(len(a)):
            for j in range(len(b)):
                if apart[i, j]:
                    total += math.exp(-((a[i] - b[j]) ** 2).sum() / (2 * width**2))
                    count += 1
        return total / count

    own, other = MATCH_X[:, None] != MATCH_X, MATCH_Y[:, None] != MATCH_Y
    expected = mean(X, X, own) + mean(Y, Y, other) - 2 * mean(X, Y, np.ones((60, 40), bool))
    assert mmd(X, Y, MATCH_X, MATCH_Y, width) == pytest.approx(expected)
    assert math.isnan(mmd(X, Y, np.zeros(60, int), MATCH_Y))


def test_mmd_is_unbiased_with_states_that_depend_on_each_other() -> None:
    """All states of a match are nearly the same one. With pairs of one match the mean would be about .05, not 0."""
    found = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x, y = (np.repeat(rng.normal(size=(10, 2)), 4, axis=0) + rng.normal(size=(40, 2)) * 0.01 for _ in range(2))
        found.append(mmd(x, y, np.arange(40) // 4, np.arange(40) // 4, 1.0))
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)


def test_the_bandwidth_is_the_median_distance() -> None:
    apart = [math.dist(X[i], X[j]) for i in range(60) for j in range(i)]
    assert median_bandwidth(X) == pytest.approx(np.median(apart))
    assert median_bandwidth(np.zeros((5, 2))) == 1.0


def test_kl_by_neighbours_by_brute_force() -> None:
    k, terms = 3, []
    for i in range(60):
        own = sorted(math.dist(X[i], X[j]) for j in range(60) if MATCH_X[j] != MATCH_X[i])
        other = sorted(math.dist(X[i], y) for y in Y)
        terms.append(3 * math.log(other[k - 1] / own[k - 1]) + math.log(40 / 54))
    assert kl_neighbours(X, Y, MATCH_X, MATCH_Y, k) == pytest.approx(np.mean(terms))
    assert math.isnan(kl_neighbours(X, Y, np.zeros(60, int), MATCH_Y))
    assert math.isnan(kl_neighbours(X, Y[:4], MATCH_X, MATCH_Y[:4]))


def test_votes_of_neighbours_by_brute_force() -> None:
    rows, match = np.concatenate([X, Y]), np.concatenate([MATCH_X, MATCH_Y + 10])
    right = []
    for i in range(100):
        near = sorted((math.dist(rows[i], rows[j]), j) for j in range(100) if match[j] != match[i])[:5]
        here = sum(j < 60 for _, j in near) / sum(match[j] != match[i] for j in range(60))
        there = sum(j >= 60 for _, j in near) / sum(match[j] != match[i] for j in range(60, 100))
        right.append(there > here if i >= 60 else 1 - (there > here))
    expected = np.mean(right[:60]) + np.mean(right[60:]) - 1
    assert total_variation_neighbours(X, Y, MATCH_X, MATCH_Y, 5) == pytest.approx(expected)


def test_states_that_are_repeated_exactly_are_no_infinite_divergence() -> None:
    """Every match begins in the same state, so that neighbours are at distance 0."""
    rows = np.concatenate([np.zeros((10, 2)), RNG.normal(size=(90, 2))])
    match = np.arange(100) % 10
    assert abs(kl_neighbours(rows, rows, match, match)) < 0.5


def test_a_classifier_finds_what_is_apart_and_nothing_where_nothing_is() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2))
    match = np.arange(2000) // 20
    assert total_variation_classifier(x, y + 20, match, match) == 1.0
    assert abs(total_variation_classifier(x, y, match, match)) < 0.08
    # N(0, 1) and N(0, 9): the densities are equal at b^2 = 9/4 log 3, so that TV = 2 (Phi(b) - Phi(b/3)) = .484.
    found = total_variation_classifier(x[:, :1], 3 * y[:, :1], match, match)
    assert found == pytest.approx(0.484, abs=0.06)
    assert math.isnan(total_variation_classifier(x, y, np.zeros(2000, int), match))


@pytest.mark.parametrize("distance", [mmd, kl_neighbours, total_variation_neighbours, total_variation_classifier])
def test_states_that_cannot_be_compared(distance) -> None:
    with pytest.raises(InputError, match=r"expected states \[n, D\] and \[m, D\]"):
        distance(X, Y[:, :2], MATCH_X, MATCH_Y)
    with pytest.raises(InputError, match="NaN or infinity"):
        distance(np.where(X > 1, np.nan, X), Y, MATCH_X, MATCH_Y)
