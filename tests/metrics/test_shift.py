from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.metrics.shift import wasserstein2

states = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-10, 10, width=16)
)


@given(states, st.randoms(use_true_random=False))
def test_the_same_sample_in_any_order_and_repeated_is_at_distance_zero(x: np.ndarray, random) -> None:
    rows = list(range(len(x)))
    random.shuffle(rows)
    assert wasserstein2(x, x[rows]) == 0
    assert wasserstein2(x, np.repeat(x, 3, axis=0)) == pytest.approx(0, abs=1e-12)
    assert wasserstein2(np.repeat(x, 2, axis=0), np.repeat(x, 3, axis=0)) == pytest.approx(0, abs=1e-12)


@given(st.floats(-5, 5), st.integers(2, 40), st.integers(1, 4))
def test_a_translation_by_c_deviations(c: float, n: int, features: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, features)) * 10.0 ** np.arange(features)
    # The variance of the even mixture is 1 + c^2/4.
    assert wasserstein2(x, x + c * x.std(axis=0)) == pytest.approx(abs(c) / np.sqrt(1 + c**2 / 4))


@given(st.floats(0.1, 5))
def test_a_scaling_about_the_mean(c: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    # Closed form: the quantiles differ by (c - 1)(x - mean), whose root mean square is |c - 1| deviations;
    # the variance of the even mixture is (1 + c^2) / 2.
    found = wasserstein2(x, x.mean(axis=0) + c * (x - x.mean(axis=0)))
    assert found == pytest.approx(abs(c - 1) / np.sqrt((1 + c**2) / 2))


def test_normal_distributions_approach_the_closed_form() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, (20000, 1)), rng.normal(0.7, 1.5, (30000, 1))
    # W2 of two normal distributions: sqrt((difference of means)^2 + (difference of deviations)^2).
    unit = np.sqrt((1 + 1.5**2) / 2 + 0.7**2 / 4)
    assert wasserstein2(a, b) == pytest.approx(np.hypot(0.7, 0.5) / unit, abs=0.03)


def test_samples_of_different_sizes_by_hand() -> None:
    # Quantile functions: 0 | 2 at halves, 0 | 1 | 5 at thirds; variances 1 and 14/3, means 1 and 2.
    # On sixths: (0-0) (0-0) (0-1) (2-1) (2-5) (2-5), squares 0 0 1 1 9 9, mean 20/6.
    assert wasserstein2([[0.0], [2.0]], [[0.0], [1.0], [5.0]]) == pytest.approx(
        np.sqrt((20 / 6) / ((1 + 14 / 3) / 2 + 1 / 4))
    )


@given(states, states)
def test_symmetric_and_at_most_two(x: np.ndarray, y: np.ndarray) -> None:
    features = min(x.shape[1], y.shape[1])
    x, y = x[:, :features] + 0.0, y[:, :features] + 0.0
    spread = np.sqrt((x.var(axis=0) + y.var(axis=0)) / 2 + (x.mean(axis=0) - y.mean(axis=0)) ** 2 / 4)
    forth = wasserstein2(x, y)
    assert forth == pytest.approx(wasserstein2(y, x), abs=1e-9)
    # W2^2 is at most the mean of (X - Y)^2 for independent X and Y, which is at most 4 times the mixture's variance.
    if (spread > 1e-6).all():
        assert forth <= 2 + 1e-9


def test_several_features_are_combined_as_root_mean_square() -> None:
    x = np.random.default_rng(1).normal(size=(30, 2))
    y = x + x.std(axis=0) * [3.0, 0.0]
    assert wasserstein2(x, y) == pytest.approx(np.sqrt((9 / (1 + 9 / 4) + 0) / 2))


def test_what_is_constant_up_to_rounding_in_float32_counts_for_nothing() -> None:
    step = np.float32(100) * np.finfo(np.float32).eps
    steady = np.full((400, 1), np.float32(100) + step)
    flickers = np.float32(100) + step * np.random.default_rng(0).integers(0, 2, (400, 1)).astype(np.float32)
    assert flickers.std() > 1e-6
    assert wasserstein2(steady, flickers) == 0  # was 1.63 of at most 2
    for steps in (1, 2):
        apart = np.full((10, 1), np.float32(1000)), np.full((10, 1), np.nextafter(np.float32(1000), np.float32(2000)))
        if steps == 2:
            apart = apart[0], np.nextafter(apart[1], np.float32(2000))
        assert wasserstein2(*apart) == 0  # was 2
    assert wasserstein2(np.full((5, 1), 0.1, np.float32), np.full((5, 1), 0.1, np.float32) + 1e-7) == 0


def test_a_constant_that_differs_is_as_far_as_can_be() -> None:
    x = np.full((5, 1), 0.1, np.float32)
    assert wasserstein2(x, x + 2) == pytest.approx(2)  # the deviation of the mixture is half of the distance
    assert wasserstein2(np.full((5, 1), 1000.0), np.full((5, 1), 1000.1)) == pytest.approx(2)


@pytest.mark.parametrize(
    ("x", "y"),
    [(np.zeros((0, 2)), np.zeros((3, 2))), (np.zeros((3, 2)), np.zeros((3, 1))), (np.zeros(3), np.zeros((3, 1)))],
)
def test_shapes_that_do_not_fit(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected states \[n, D\]"):
        wasserstein2(x, y)


def test_values_that_are_not_finite() -> None:
    with pytest.raises(InputError, match="NaN or infinity"):
        wasserstein2([[0.0]], [[np.nan]])
