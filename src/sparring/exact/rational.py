"""Floats as exact rationals, so that a computed bound is a theorem about numbers that can be written down.

Probabilities such as 1/3 have no float, and 1 - 1/3 is not the float nearest to 2/3. A float is read as the fraction of
denominator at most 1000 that it is up to rounding, a relative 1e-15, if there is one, and as the dyadic rational that
it is otherwise. Arrays of fractions have dtype object.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

# All numbers up to it have a common multiple of 1,440 bits, so sums over large games stay of a size to compute with.
LARGEST_DENOMINATOR = 1000
ROUNDING = Fraction(1, 10**15)


def fraction(number: float) -> Fraction:
    """The simple fraction that `number` is up to rounding, or its own exact value."""
    own = Fraction(float(number))
    simple = own.limit_denominator(LARGEST_DENOMINATOR)
    return simple if abs(simple - own) <= ROUNDING * abs(own) else own


def fractions(array: np.ndarray) -> np.ndarray:
    """`fraction` of every number of `array` [...], dtype object."""
    exact = np.empty(np.shape(array), object)
    exact.reshape(-1)[:] = [fraction(number) for number in np.ravel(array).tolist()]
    return exact


def distributions(array: np.ndarray) -> np.ndarray:
    """The rows of `array` [..., A] as exact distributions, dtype object: each sums to one.

    Where simple fractions do not, the numbers are taken as they are and the largest one makes up for their rounding. A
    division by the sum would give every row a denominator of its own, which sums over a game cannot carry.
    """
    rows = fractions(array).reshape(-1, np.shape(array)[-1])
    for simple, floats in zip(rows, np.reshape(array, rows.shape).tolist(), strict=True):
        if sum(simple) != 1:
            simple[:] = [Fraction(number) for number in floats]
            simple[np.argmax(floats)] += 1 - sum(simple)
    return rows.reshape(np.shape(array))
