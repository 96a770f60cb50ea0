from __future__ import annotations

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.simplex import distributions, lowest_minimiser, mixed


def test_mixed() -> None:
    # Row 0: 0.75 (0.2, 0.8) + 0.25 (1, 0) = (0.4, 0.6); row 1: 0.75 (1, 0) + 0.25 (0, 1) = (0.75, 0.25).
    benign = np.array([[0.2, 0.8], [1.0, 0.0]])
    alpha = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(mixed(benign, alpha, 0.25), [[0.4, 0.6], [0.75, 0.25]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("eps", [-0.1, 1.5, float("nan")])
def test_mixed_refuses_a_budget(eps: float) -> None:
    with pytest.raises(InputError, match=r"probability in \[0, 1\]"):
        mixed(np.array([1.0]), np.array([1.0]), eps)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([[1.0, 0.0]], r"policy: expected shape \[2, 2\], got \[1, 2\]"),
        ([[1.0, 0.0], [0.6, 0.6]], r"policy\[1\]: expected probabilities that sum to 1, got a sum of 1.2"),
        ([[1.5, -0.5], [1.0, 0.0]], r"policy\[0\]: expected probabilities"),
        ([[1.0, 0.0], [np.nan, 1.0]], r"policy\[1\]: expected probabilities"),
    ],
)
def test_distributions_name_the_bad_row(array: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        distributions(np.array(array), (2, 2), "policy")


def test_lowest_minimiser_takes_the_first_of_equals() -> None:
    third = 1 / 3
    costs = np.array([[1.0, 0.1 + 0.2, 0.3], [third, 2.0, third], [3.0, 2.0, 1.0]])
    assert lowest_minimiser(costs, 1e-12).tolist() == [1, 0, 2]
    assert lowest_minimiser(costs, 0.0).tolist() == [2, 0, 2]  # 0.1 + 0.2 is above 0.3 in the last bit
