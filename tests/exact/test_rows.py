from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.rows import distributions, normalised


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


def test_rows_that_miss_one_by_rounding_are_divided_by_their_sum() -> None:
    rows = np.array([[0.3333335] * 3, [0.5, 0.5 + 1e-17, -1e-17], [0.2, 0.3, 0.5]])
    found = distributions(rows, (3, 3), "policy")
    np.testing.assert_allclose(found[0], 1 / 3, rtol=1e-15)
    assert found[1:].tolist() == [[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_a_second_division_changes_no_bit(seed: int, actions: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.full(actions, 0.3), 20).astype(np.float32).astype(float)
    once = normalised(rows)
    np.testing.assert_allclose(once.sum(axis=1), 1, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(normalised(once), once)
