"""Resamples of matches: bootstrap, benign against benign, and permutation; and what they say about a distance.

States of one match depend on each other, so that whole matches are drawn, never single states. A resample is a pair of
weights for every match: how often it counts as one of the first (benign) and of the second (attacked) sample.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

BENIGN, AGAIN, ATTACKED = range(3)  # the parts that matches are of
LEAST_MATCHES = 5  # of a sample that is resampled


class Pool(NamedTuple):
    """All states that are compared, and the matches (or bundles of matches) that are drawn together."""

    rows: np.ndarray  # float64 [n, D]
    match: np.ndarray  # int64 [n], 0 .. M - 1
    part: np.ndarray  # int64 [M], which sample each match is of


class Draws(NamedTuple):
    """The observed samples first, and then all resamples, one in a row."""

    first: np.ndarray  # float64 [S, M]
    second: np.ndarray  # float64 [S, M]
    bootstrap: slice  # rows: both samples drawn with replacement
    floor: slice  # rows: two disjoint benign samples of the observed sizes
    null: slice  # rows: benign and attacked matches dealt anew


def drawn(part: np.ndarray, resamples: int, rng: np.random.Generator) -> Draws:
    """Draw the resamples of a pool.

    A benign sample against a benign one is a random split of all benign matches (those of `BENIGN` and of `AGAIN`
    together) into disjoint sets, as large as the benign and the attacked sample. There is none where these matches are
    too few, and no resample at all where a sample has fewer than five matches.

    Args:
      part: int [M], as in `Pool`. Matches of any other number are never drawn.
      resamples: R, of each of the three kinds.
      rng: for the draws.
    """
    benign, again, attacked = (np.flatnonzero(part == which) for which in range(3))
    sizes = len(benign), len(attacked)
    resamples = resamples if min(sizes) >= LEAST_MATCHES else 0
    pools = {
        "floor": np.concatenate([benign, again]) if len(again) >= max(LEAST_MATCHES, len(attacked)) else None,
        "null": np.concatenate([benign, attacked]),
    }
    pairs = [_weights(benign, attacked, 1, len(part), rng, replace=False)]
    pairs.append(_weights(benign, attacked, resamples, len(part), rng, replace=True))
    spans = [slice(1, 1 + resamples)]
    for pool in pools.values():
        count = 0 if pool is None else resamples
        pairs.append(_split(pool, sizes, count, len(part), rng))
        spans.append(slice(spans[-1].stop, spans[-1].stop + count))
    first, second = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    return Draws(first, second, *spans)


def _weights(
    first: np.ndarray, second: np.ndarray, count: int, matches: int, rng: np.random.Generator, replace: bool
) -> tuple[np.ndarray, ...]:
    """Both sets as they are, or as many drawn from each with replacement."""
    out = []
    for members in (first, second):
        weights = np.zeros((count, matches))
        size = len(members)
        weights[:, members] = rng.multinomial(size, np.full(size, 1 / size), size=count) if replace else 1.0
        out.append(weights)
    return tuple(out)


def _split(
    pool: np.ndarray | None, sizes: tuple[int, int], count: int, matches: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint random sets of these sizes from one pool."""
    first, second = np.zeros((count, matches)), np.zeros((count, matches))
    if pool is not None and count:
        order = rng.permuted(np.tile(pool, (count, 1)), axis=1)
        np.put_along_axis(first, order[:, : sizes[0]], 1.0, axis=1)
        np.put_along_axis(second, order[:, sizes[0] : sum(sizes)], 1.0, axis=1)
    return first, second


def fewer(draws: Draws, resamples: int) -> Draws:
    """At most so many resamples of each kind, for distances that take long."""
    kept, spans = [0], []
    for span in (draws.bootstrap, draws.floor, draws.null):
        rows = range(span.start, min(span.stop, span.start + resamples))
        spans.append(slice(len(kept), len(kept) + len(rows)))
        kept.extend(rows)
    return Draws(draws.first[kept], draws.second[kept], *spans)


class Judged(NamedTuple):
    """A distance with all that resampling says about it; NaN where it says nothing."""

    value: float
    corrected: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    p: float


def judge(
    values: np.ndarray, draws: Draws, smooth: bool = True, quadratic: bool = False, most: float = math.inf
) -> Judged:
    """Floor, interval and p-value of one distance, from its values in all resamples.

    - Floor: mean, 2.5% and 97.5% quantiles of the benign samples' distances. Any two samples of one distribution are so
      far apart by chance. Where some are infinite (KL), the median stands for the mean.
    - Corrected value: the value minus the mean floor. That is the estimator's bias where the attack changes nothing.
      Where the attack changes much, total variation has less of it, so that this errs to the low side.
    - Interval (95%) of the distance without bias: a resample's distance varies around the resamples' mean as the value
      does around its own, mirrored (basic bootstrap). A bootstrap adds the noise of sampling once more, so its mean
      above the value is an estimate of the bias that does not suppose that nothing changed. The lower end takes the
      mean floor for the bias, the upper end the smaller one of the two. A distance that grows with the square of a
      small change is skewed where it is small: its upper end is then no less than that of the root, squared. Distances
      are not negative, nor are the ends.
    - p: of the null hypothesis that benign and attacked matches are exchangeable. It is (1 + number of permutations
      with at least this distance) / (1 + number of permutations), which is at most alpha with probability at most alpha
      (Phipson and Smyth 2010).

    Args:
      values: float64 [S], in the order of the draws.
      draws: the resamples.
      smooth: the distance changes little if a state is there twice. Else, as for nearest neighbours, a bootstrap tells
        the spread alone, and the bias is that of the floor.
      quadratic: the distance grows with the square of a small change, as a squared distance does.
      most: the largest distance that there is.
    """
    value, bootstrap, floor, null = float(values[0]), *(values[s] for s in draws[2:])
    nan = math.nan
    p = mean_floor = floor_low = floor_high = corrected = low = high = nan
    if not math.isnan(value):
        if len(null):
            # Equal sums in another order differ by rounding. A resample that failed is not counted for the attack.
            close = abs(value) * 1e-9 if math.isfinite(value) else 0.0
            p = (1 + int((~(null < value - close)).sum())) / (1 + len(null))
        if len(floor) and not np.isnan(floor).any():
            mean_floor, floor_low, floor_high = _centre(floor), _quantile(floor, 0.025), _quantile(floor, 0.975)
            corrected = value - mean_floor if math.isfinite(mean_floor) else nan
        bootstrap = bootstrap[~np.isnan(bootstrap)]
        if math.isfinite(value) and math.isfinite(corrected) and len(bootstrap):
            centre = _centre(bootstrap)
            if math.isfinite(centre):
                bias = mean_floor
                if smooth:
                    bias = min(max(centre - value, min(mean_floor, 0.0)), max(mean_floor, 0.0))
                low = max(corrected - (_quantile(bootstrap, 0.975) - centre), 0.0)
                high = value - bias + (centre - _quantile(bootstrap, 0.025))
                if quadratic and value > 0:
                    roots = np.sqrt(np.maximum(bootstrap, 0.0))
                    spread = max(abs(_quantile(roots, level) - _centre(roots)) for level in (0.025, 0.975))
                    high = max(high, (math.sqrt(value) + spread) ** 2 - bias)
                low, high = min(low, most), min(max(high, low), most)
    return Judged(value, corrected, low, high, mean_floor, floor_low, floor_high, p)


def _centre(values: np.ndarray) -> float:
    """The mean, or the median if some are infinite."""
    return float(np.mean(values)) if np.isfinite(values).all() else _quantile(values, 0.5)


def _quantile(values: np.ndarray, level: float) -> float:
    """A quantile that is one of the values, the outer one of two: infinite ones have no mean."""
    return float(np.quantile(values, level, method="higher" if level > 0.5 else "lower"))
