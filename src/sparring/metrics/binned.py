"""Distributions of single features in bins, many of them at once: what makes resampling fast.

Every feature is put into bins once. A resample of matches is then a weighted sum of the matches' counts, and distances
are computed from the sums.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LEVELS = 40  # bins of equal shares, before the tails are divided further
_GAP, _GAPS = 0.1, 40  # of transport: no bin lies across a gap of so many deviations; at most so many gaps


def even_levels(bins: int) -> np.ndarray:
    """The levels of the quantiles that make bins of equal shares, float64 [bins - 1]."""
    return np.arange(1, bins) / bins


def fine_levels(n: int) -> np.ndarray:
    """Levels for transport among n values, where the tails weigh the most.

    Few values have a bin each. Many have 40 equal shares, and the two outermost are divided further: the four outermost
    values have a bin each, and each further bin has twice as many.
    """
    if n <= 2 * _LEVELS:
        return even_levels(n)
    ranks = np.unique(np.concatenate([np.arange(1, 5), np.round(2.0 ** np.arange(2, np.log2(n)))]))
    tail = ranks[ranks < n / _LEVELS] / n
    return np.concatenate([tail, even_levels(_LEVELS), 1 - tail[::-1]])


def cuts_of(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The upper ends of all bins but the last, in increasing order, for values [n]: they are values themselves.

    A value that is the quantile at two levels or more has a bin of its own.
    """
    ordered = np.sort(values)
    at = ordered[np.maximum(np.ceil(levels * len(ordered) - 1e-6).astype(int) - 1, 0)]
    cuts, times = np.unique(at, return_counts=True)
    atoms = cuts[times > 1]
    cuts = np.union1d(cuts, np.nextafter(atoms, -np.inf))
    return cuts[(cuts >= ordered[0]) & (cuts < ordered[-1])]


def gaps_of(values: np.ndarray) -> np.ndarray:
    """The values [n] below which the largest gaps begin: a bin across one would spread its mass where nothing is."""
    ordered = np.unique(values)
    gap = np.diff(ordered)
    wide = np.flatnonzero(gap > _GAP * values.std())
    return ordered[wide[np.argsort(-gap[wide], kind="stable")][:_GAPS]]


def counts_of(values: np.ndarray, cuts: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """How many of each group's values [n] lie in each bin, float64 [groups, len(cuts) + 1]; bins include upper ends."""
    bins = len(cuts) + 1
    where = np.searchsorted(cuts, values, side="left")
    return np.bincount(group * bins + where, minlength=groups * bins).reshape(groups, bins).astype(np.float64)


class Binned(NamedTuple):
    """Several features' counts by match, padded to the same number of bins."""

    counts: np.ndarray  # float64 [M, D, bins]
    low: np.ndarray  # float64 [D, bins], the smallest value in each bin
    high: np.ndarray  # float64 [D, bins], the largest one


def binned(columns: np.ndarray, match: np.ndarray, matches: int, levels: np.ndarray, gaps: bool = False) -> Binned:
    """Put every feature into bins at its quantiles.

    Args:
      columns: float64 [n, D], the states of all samples together.
      match: int [n], 0 .. M - 1.
      matches: M.
      levels: of the quantiles where bins end.
      gaps: bins also end where the values have wide gaps.
    """
    tables, lows, highs = [], [], []
    for column in columns.T:
        cuts = cuts_of(column, levels)
        cuts = np.union1d(cuts, gaps_of(column)) if gaps else cuts
        tables.append(counts_of(column, cuts, match, matches))
        ordered = np.sort(column)
        ends = np.searchsorted(ordered, cuts, side="right")
        starts, stops = np.concatenate([[0], ends]), np.concatenate([ends, [len(ordered)]])
        # A bin below an atom may be empty: then no mass is ever in it, and its ends are those of the next value.
        lows.append(ordered[starts])
        highs.append(np.maximum(ordered[stops - 1], ordered[starts]))
    bins = max(table.shape[1] for table in tables)
    shape = (len(tables), bins)
    counts, low, high = np.zeros((matches, *shape)), np.zeros(shape), np.zeros(shape)
    for d, table in enumerate(tables):
        width = table.shape[1]
        counts[:, d, :width] = table
        low[d, :width], high[d, :width] = lows[d], highs[d]
        low[d, width:] = high[d, width:] = highs[d][-1]
    return Binned(counts, low, high)


def shares(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The distributions over bins [R, D, bins] of resamples that count the matches with weights [R, M]."""
    matches, features, bins = counts.shape
    sums = (weights @ counts.reshape(matches, -1)).reshape(-1, features, bins)
    with np.errstate(invalid="ignore"):  # a resample without states is NaN
        return sums / sums.sum(axis=2, keepdims=True)


def transport(p: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Squared W2 distances of distributions over the same bins, mass lying evenly between the ends of a bin.

    Both quantile functions are linear between the levels where either of them leaves a bin. Their difference is taken
    in the middle of every such interval: exact for bins of one value each, and up to the square of a bin's width else.

    Args:
      p: float64 [R, D, bins], shares.
      q: float64 [R, D, bins].
      low: float64 [D, bins], lower ends of the bins.
      high: float64 [D, bins], upper ends.

    Returns:
      float64 [R, D], NaN where p or q is.
    """
    repeats, features, bins = p.shape
    rows = repeats * features
    broken = ~(np.isfinite(p[..., 0]) & np.isfinite(q[..., 0]))
    # Every row gets a stretch of its own on one axis, so that one call interpolates all rows.
    begin = 2.0 * np.arange(rows)[:, None]
    ends = np.stack([low, high], axis=-1).reshape(features, 2 * bins)
    places = np.broadcast_to(ends, (repeats, features, 2 * bins)).reshape(-1)
    inner, knots = [], []
    for share in (p, q):
        share = np.where(broken[..., None], 1.0 / bins, share).reshape(rows, bins)
        level = np.minimum(np.cumsum(share, axis=1), 1.0)
        level[:, -1] = 1.0
        inner.append(level)
        before = np.concatenate([np.zeros((rows, 1)), level[:, :-1]], axis=1)
        knots.append((np.stack([before, level], axis=-1).reshape(rows, 2 * bins) + begin).reshape(-1))
    levels = np.sort(np.concatenate([np.zeros((rows, 1)), *inner], axis=1), axis=1)
    width = np.diff(levels, axis=1)
    at = (levels[:, :-1] + width / 2 + begin).reshape(-1)
    apart = np.interp(at, knots[0], places) - np.interp(at, knots[1], places)
    total = ((apart**2).reshape(rows, -1) * width).sum(axis=1)
    return np.where(broken, np.nan, total.reshape(repeats, features))
