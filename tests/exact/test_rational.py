from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.exact.rational import LARGEST_DENOMINATOR, distributions, fraction, fractions


@pytest.mark.parametrize("exact", [Fraction(1, 3), Fraction(-7, 999), Fraction(0), Fraction(13), Fraction(7, 10)])
def test_simple_fractions_are_found(exact: Fraction) -> None:
    assert fraction(float(exact)) == exact


@given(st.floats(-1e6, 1e6))
def test_a_fraction_is_the_floats(number: float) -> None:
    found = fraction(number)
    assert abs(float(found) - number) <= 1e-15 * abs(number)
    assert found.denominator <= LARGEST_DENOMINATOR or found == Fraction(number)


def test_rounding_is_undone() -> None:
    assert 1 - 1 / 3 != 2 / 3
    assert fraction(1 - 1 / 3) == Fraction(2, 3)
    assert fraction(2 / 3 + 1e-14) == Fraction(2 / 3 + 1e-14)
    assert fraction(1e-20) == Fraction(1e-20)


def test_the_common_denominator_stays_small() -> None:
    assert lcm(*range(1, LARGEST_DENOMINATOR + 1)).bit_length() == 1438


def test_arrays_keep_their_shape() -> None:
    assert fractions(np.array([[0.5, 0.1]])).tolist() == [[Fraction(1, 2), Fraction(1, 10)]]
    assert fractions(np.array(0.25)).item() == Fraction(1, 4)


def test_simple_rows_are_what_they_mean() -> None:
    rows = np.array([[1 / 3, 1 / 3, 1 / 3], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0]])
    assert distributions(rows).tolist() == [
        [Fraction(1, 3)] * 3,
        [Fraction(1, 10), Fraction(1, 5), Fraction(7, 10)],
        [0, 1, 0],
    ]


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_rows_sum_to_one_and_are_the_floats_up_to_rounding(seed: int, size: int) -> None:
    rows = np.random.default_rng(seed).dirichlet(np.full(size, 0.1), (2, 3))
    exact = distributions(rows)
    assert exact.shape == rows.shape
    assert (exact.sum(axis=-1) == 1).all()
    assert (exact >= 0).all()
    np.testing.assert_allclose(exact.astype(float), rows, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(exact == 0, rows == 0)
