"""How far apart the states are that the victim meets with and without an attack, feature by feature."""

from __future__ import annotations

import numpy as np

from sparring.errors import InputError
from sparring.metrics.divergences import divergences
from sparring.metrics.features import units
from sparring.types import Array


def wasserstein2(reference: Array, other: Array) -> float:
    """Root mean square over features of the 1-D Wasserstein-2 distances, each in units of that feature's spread.

    This is the root of the mean of `wasserstein2_squared` over all features.

    Changes only in how features go together are not seen. Finite samples of one distribution are a positive distance
    apart, so compare with the distance between two samples of the benign opponent (DECISIONS 21).

    Args:
      reference: float [n, D], states under the benign opponent, of valid matches.
      other: float [m, D], states under the attack, of valid matches.

    Raises:
      InputError: shapes that do not fit, no states, or a value that is not finite.
    """
    return float(np.sqrt(wasserstein2_squared(reference, other).mean()))


def wasserstein2_squared(reference: Array, other: Array) -> np.ndarray:
    """Squared 1-D Wasserstein-2 distance of every feature, in units of that feature's variance.

    The unit is the variance of the even mixture of both samples, so that every feature counts for 0 to 4 and one that
    hardly ever moves in one sample (a contact force, say) cannot drown the others.

    Each feature's distance is exact, W2^2 = integral of (F^-1(q) - G^-1(q))^2 over q in [0, 1], by its sorted values.
    Bias of finite samples: positive, of order 1/n + 1/m, largest where both distributions are the same.

    A feature that is constant up to rounding in the mixture counts for 0 (`features.units`).

    Args:
      reference: float [n, D].
      other: float [m, D].

    Returns:
      float64 [D].

    Raises:
      InputError: as `wasserstein2`.
    """
    reference, other = checked(reference, other)
    deviation, moves = units(reference, other)
    squares = np.zeros(reference.shape[1])
    squares[moves] = sorted_squares(reference[:, moves] / deviation[moves], other[:, moves] / deviation[moves])
    return squares


def sorted_squares(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared 1-D Wasserstein-2 distances of columns, exact, in the squared unit of the values.

    Args:
      reference: float64 [n, D].
      other: float64 [m, D].

    Returns:
      float64 [D].
    """
    n, m = len(reference), len(other)
    # Both quantile functions are constant between consecutive multiples of 1/n and 1/m; in units of 1/(n m) these are
    # integers, so that no step is lost to rounding.
    ticks = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    weights = np.diff(ticks, prepend=0) / (n * m)
    rows, other_rows = (ticks - 1) // m, (ticks - 1) // n
    pairs = zip(np.sort(reference.T, axis=1), np.sort(other.T, axis=1), strict=True)
    return np.array([weights @ (ours[rows] - theirs[other_rows]) ** 2 for ours, theirs in pairs])


def histogram_bins(matches: int) -> int:
    """How many bins a histogram has: Rice's rule, 2 n^(1/3), of at least 4 and at most 32.

    The number n is that of independent observations. States of one match are alike, so n is the number of matches in
    the smaller sample. It is the number of states only where every state is from a match of its own.
    """
    return int(np.clip(round(2 * matches ** (1 / 3)), 4, 32))


def histogram_divergences(reference: Array, other: Array, bins: int | None = None) -> dict[str, np.ndarray]:
    """Total variation, KL and squared Hellinger distance of every feature, by histogram.

    The bins end at quantiles of both samples together, so that each holds an equal share of the states. A value that
    fills several bins by itself has one of its own. KL is D(other || reference) in nats, as in Proposition 3.3: it is
    infinite where a bin holds states of `other` and none of `reference`. Total variation and Hellinger are in [0, 1].

    Bias: coarse bins hide differences within a bin (downwards, of order 1/bins^2 for smooth densities). Noise in the
    bins' shares lifts all three: total variation by sqrt(bins (1/n + 1/m) / (2 pi)) at most, KL by
    bins (1/n + 1/m) / 2 and squared Hellinger by bins (1/n + 1/m) / 8 where both distributions are the same. Here n and
    m count independent observations.

    Args:
      reference: float [n, D].
      other: float [m, D].
      bins: how many; None: `histogram_bins` of the smaller sample, as if all states were independent.

    Returns:
      float64 [D] each: "total variation", "KL", "squared Hellinger". A constant feature has 0 in all of them.

    Raises:
      InputError: as `wasserstein2`, or fewer than 2 bins.
    """
    from sparring.metrics.binned import counts_of, cuts_of, even_levels

    reference, other = checked(reference, other)
    bins = histogram_bins(min(len(reference), len(other))) if bins is None else bins
    if bins < 2:
        raise InputError(f"bins: expected at least 2, got {bins}")
    _, moves = units(reference, other)
    names = ("total variation", "KL", "squared Hellinger")
    result = {name: np.zeros(reference.shape[1]) for name in names}
    sample = np.repeat([0, 1], [len(reference), len(other)])
    for d in np.flatnonzero(moves):
        values = np.concatenate([reference[:, d], other[:, d]])
        counts = counts_of(values, cuts_of(values, even_levels(bins)), sample, 2)
        p, q = counts / counts.sum(axis=1, keepdims=True)
        apart = divergences(q, p)
        for name in names:
            result[name][d] = apart[name]
    return result


def checked(reference: Array, other: Array) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of states as float64.

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
    return reference, other
