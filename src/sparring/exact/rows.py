"""Probability distributions as the rows of an array: one tolerance for policies, transitions, starts and chance."""

from __future__ import annotations

import numpy as np

from sparring.errors import InputError

# Float32 numbers' rows miss one by about 1e-7. What misses by more was not meant to be a distribution.
ROW_TOLERANCE = 1e-6


def distributions(array: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """`array` as float64 distributions along its last axis, each divided by its sum (DECISIONS 33).

    A row that misses 1 by rounding would be worth 1 / (1 - gamma) times that miss too much or too little. Numbers
    below 0 by rounding become 0. Rows whose sum is 1 up to the rounding of the sum itself are left as they are, so that
    a second call changes nothing.

    Raises:
      InputError: another shape, a non-finite number, a number below -1e-6, or a row whose sum misses 1 by more than
        1e-6; `what` and the row are named.
    """
    array = np.asarray(array, np.float64)
    if array.shape != shape:
        raise InputError(f"{what}: expected shape {list(shape)}, got {list(array.shape)}")
    bad = ~(array >= -ROW_TOLERANCE).all(axis=-1) | ~np.isfinite(array).all(axis=-1)
    if bad.any():
        raise InputError(f"{what}{_row(bad)}: expected probabilities (finite, at least 0), got {array[bad][0]}")
    total = array.sum(axis=-1)
    bad = np.abs(total - 1) > ROW_TOLERANCE
    if bad.any():
        raise InputError(f"{what}{_row(bad)}: expected probabilities that sum to 1, got a sum of {total[bad][0]:.9g}")
    return normalised(array)


def normalised(array: np.ndarray) -> np.ndarray:
    """The rows of `array` [..., n] without negative numbers and divided by their sums, where they miss 1.

    Args:
      array: rows that miss a distribution by rounding. It is returned itself if none does.
    """
    if (array < 0).any():
        array = np.maximum(array, 0.0)
    total = array.sum(axis=-1, keepdims=True)
    missing = np.abs(total - 1) > (array.shape[-1] + 2) * np.finfo(np.float64).eps
    return np.where(missing, array / total, array) if missing.any() else array


def _row(bad: np.ndarray | np.bool) -> str:
    """The index of the first bad row, as `[0, 1]`; nothing where there is one row only."""
    return str(np.argwhere(bad)[0].tolist()) if bad.ndim else ""
