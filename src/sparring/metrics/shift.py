"""How visible an attack is: the distance between the states that the victim meets with and without it."""

from __future__ import annotations

import numpy as np

from sparring.errors import InputError
from sparring.types import Array

# A feature is constant up to rounding in float32 if its standard deviation is below this, or below so many of float32's
# steps at its mean.
_CONSTANT, _STEPS = 1e-6, 4 * float(np.finfo(np.float32).eps)


def wasserstein2(reference: Array, other: Array) -> float:
    """Root mean square over features of the 1-D Wasserstein-2 distances, each in units of that feature's spread.

    The unit is the standard deviation of the even mixture of both samples, so that every feature counts for 0 to 2 and
    one that hardly ever moves in one sample (a contact force, say) cannot drown the others.

    Each feature's distance is exact, W2^2 = integral of (F^-1(q) - G^-1(q))^2 over q in [0, 1], by its sorted values.
    Changes only in how features go together are not seen. Finite samples of one distribution are a positive distance
    apart, so compare with the distance between two samples of the benign opponent (DECISIONS 21).

    A feature that is constant up to rounding in the mixture counts for 0: its standard deviation there is below 1e-6,
    or below four of the steps that float32 has at its mean.

    Args:
      reference: float [n, D], states under the benign opponent, of valid matches.
      other: float [m, D], states under the attack, of valid matches.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    reference, other = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if (
        reference.ndim != 2
        or other.ndim != 2
        or reference.shape[1] != other.shape[1]
        or 0 in reference.shape + other.shape
    ):
        raise InputError(
            f"expected states [n, D] and [m, D] with n, m, D > 0, got {list(reference.shape)} and {list(other.shape)}"
        )
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        raise InputError("the states to be compared contain NaN or infinity: leave invalid matches out")
    apart = reference.mean(axis=0) - other.mean(axis=0)
    deviation = np.sqrt((reference.var(axis=0) + other.var(axis=0)) / 2 + apart**2 / 4)
    mean = (reference.mean(axis=0) + other.mean(axis=0)) / 2
    moves = np.flatnonzero(deviation >= np.maximum(_CONSTANT, _STEPS * np.abs(mean)))
    n, m = len(reference), len(other)
    # Both quantile functions are constant between consecutive multiples of 1/n and 1/m; in units of 1/(n m) these are
    # integers, so that no step is lost to rounding.
    ticks = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    weights = np.diff(ticks, prepend=0) / (n * m)
    rows, other_rows = (ticks - 1) // m, (ticks - 1) // n
    squares = [
        weights @ ((np.sort(reference[:, d])[rows] - np.sort(other[:, d])[other_rows]) / deviation[d]) ** 2
        for d in moves
    ]
    return float(np.sqrt(sum(squares) / reference.shape[1]))
