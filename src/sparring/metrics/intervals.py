"""Confidence intervals of rates, of means of bounded numbers, and of differences of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from sparring.errors import InputError
from sparring.types import Array

Interval = tuple[float, float]

Z95 = 1.959963984540054  # the 97.5% quantile of the standard normal distribution
ALPHA = 0.05
_CAP = 0.75  # of what is at hand, this is staked at most (Waudby-Smith and Ramdas recommend 1/2 or 3/4)
_HALVINGS = 24  # of the unit interval: bounds are exact to 1e-7 of the range, and rounded outwards


def simultaneous(intervals: int) -> float:
    """The error that each of so many intervals may have, so that all hold together in 95% (Bonferroni)."""
    return ALPHA / max(intervals, 1)


def z_of(alpha: float) -> float:
    """The quantile of the standard normal distribution that leaves alpha/2 above it."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def wilson(successes: int, n: int, z: float = Z95) -> Interval:
    """The 95% score interval of a rate: the p with |successes/n - p| <= z sqrt(p (1-p) / n) (Wilson 1927).

    Unlike the textbook interval it keeps its coverage near 0 and 1, where attacks often end. Another `z` has another
    coverage.

    Raises:
      InputError: n is not positive, or `successes` is not in 0 .. n.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise InputError(f"a rate needs n > 0 trials and 0 to n successes, got {successes} of {n}")
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(successes * (n - successes) / n + z**2 / 4)
    # At the edges the bounds are 0 and 1 exactly, which rounding would miss.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def newcombe(successes: int, n: int, successes_0: int, n_0: int, z: float = Z95) -> Interval:
    """The 95% interval of the difference of two independent rates, successes/n - successes_0/n_0.

    Newcombe's hybrid score interval: the distances to Wilson's bounds, added in quadrature (Newcombe 1998, method 10).
    `z` is that of `wilson`.

    Raises:
      InputError: as `wilson`.
    """
    p, (low, high) = successes / max(n, 1), wilson(successes, n, z)
    p_0, (low_0, high_0) = successes_0 / max(n_0, 1), wilson(successes_0, n_0, z)
    return p - p_0 - math.hypot(p - low, high_0 - p_0), p - p_0 + math.hypot(high - p, p_0 - low_0)


def student(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> tuple[float, float, float]:
    """Mean and Student's 95% interval, of training seeds for example; the ends are NaN where there is one value.

    What lies beyond `least` and `most`, the ends of what is possible, is cut off: of rates beyond 0 and 1.
    """
    from scipy.special import stdtrit

    n = len(values)
    mean = float(np.mean(values)) if n else float("nan")
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / n**0.5
    return mean, max(mean - half, least), min(mean + half, most)


def mean_interval(values: Array, low: float, high: float, alpha: float = ALPHA) -> tuple[np.ndarray, np.ndarray]:
    """An interval of the mean of numbers in [low, high] that covers it with probability 1 - alpha at least.

    It holds for every distribution and every n: the hedged capital of Waudby-Smith and Ramdas ("Estimating means of
    bounded random variables by betting", JRSS B 86, 2024; arXiv 2010.09686, section 4). For a candidate mean m one bets
    on every value before it is seen. If m is the mean, the capital reaches 2 / alpha with probability alpha / 2 at most
    (Ville's inequality), on either side. The interval is made of all m whose capital never did.

    Args:
      values: float [..., n]; intervals are along the last axis. The bets are placed in one shuffled order, the same for
        every sample of n, so that an order in the data (broken matches at the end, say) does not matter.
      low: the least value that is possible, not only that was seen.
      high: the largest one.
      alpha: 1 - coverage.

    Returns:
      The lower and the upper ends, float64 [...].

    Raises:
      InputError: no values, a value that is not finite or outside of the range, or an empty range.
    """
    values = np.asarray(values, np.float64)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"the interval of a mean needs a finite range low < high, got [{low}, {high}]")
    if values.ndim == 0 or values.shape[-1] == 0 or not np.isfinite(values).all():
        raise InputError(f"the interval of a mean needs finite values [..., n], n > 0, got shape {list(values.shape)}")
    if values.min() < low or values.max() > high:
        raise InputError(f"values must lie in [{low:g}, {high:g}], got {values.min():g} to {values.max():g}")
    # Rounding must not carry a value out of [0, 1].
    unit = np.clip((values - low) / (high - low), 0.0, 1.0)
    mean, unit = unit.mean(axis=-1), unit[..., _order(unit.shape[-1])]
    least, turned = _least_mean(np.stack([unit, 1 - unit]), alpha / 2)
    lower, upper = np.minimum(least, mean), np.maximum(1 - turned, mean)
    return low + (high - low) * lower, low + (high - low) * upper


def least_mean(values: Array, alpha: float) -> np.ndarray:
    """A number below which a mean of numbers in [0, 1] lies with probability alpha at most: an end of `mean_interval`.

    Args:
      values: float [..., n], n > 0; bounds are along the last axis.
      alpha: the probability that the bound is wrong.
    """
    unit = np.asarray(values, np.float64)
    return np.minimum(_least_mean(unit[..., _order(unit.shape[-1])], alpha), unit.mean(axis=-1))


def mean_difference(values: Array, others: Array, low: float, high: float, alpha: float = ALPHA) -> Interval:
    """The interval of the difference of two means, values - others, of independent samples in [low, high].

    The larger sample is cut into as many blocks as the smaller one has values. Each pair of a block's mean and a value
    differs by a number in [low - high, high - low] whose mean is the difference, so `mean_interval` holds. Its width is
    that of the variance of the difference.

    Args:
      values: float [n].
      others: float [m].
      low: the least value that is possible.
      high: the largest one.
      alpha: 1 - coverage.

    Raises:
      InputError: as `mean_interval`.
    """
    values, others = np.asarray(values, np.float64), np.asarray(others, np.float64)
    for sample in (values, others):
        if sample.ndim != 1 or not len(sample):
            raise InputError(f"the interval of a difference needs values [n] with n > 0, got {list(sample.shape)}")
    blocks = min(len(values), len(others))
    ours, theirs = values[_order(len(values), 1)], others[_order(len(others), 2)]
    apart = _blocks(ours, blocks) - _blocks(theirs, blocks)
    # Rounding in the blocks' means may leave the range by a hair.
    lower, upper = mean_interval(np.clip(apart, low - high, high - low), low - high, high - low, alpha)
    difference = float(values.mean() - others.mean())
    return min(float(lower), difference), max(float(upper), difference)


def _order(n: int, purpose: int = 0) -> np.ndarray:
    """A shuffled order of n values that depends on nothing but n and on what it is for."""
    return np.random.default_rng([n, purpose]).permutation(n)


def _blocks(values: np.ndarray, blocks: int) -> np.ndarray:
    """The means of so many blocks of consecutive values, whose sizes differ by one at most."""
    starts = np.arange(blocks) * len(values) // blocks
    return np.add.reduceat(values, starts) / np.diff(starts, append=len(values))


def _least_mean(unit: np.ndarray, alpha: float) -> np.ndarray:
    """The largest m, [...], below which no mean of `unit` [..., n] in [0, 1] can lie, but with probability alpha.

    The capital max_t prod_{i <= t} (1 + bet_i(m) (x_i - m)) with bet_i(m) = min(bet_i, cap / m) falls in m, so that
    halving finds where it crosses 1 / alpha. bet_i comes from the values before the i-th alone.
    """
    n = unit.shape[-1]
    count = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(unit, axis=-1)) / (count + 1)
    spread = (0.25 + np.cumsum((unit - means) ** 2, axis=-1)) / (count + 1)
    before = np.concatenate([np.full((*unit.shape[:-1], 1), 0.25), spread[..., :-1]], axis=-1)
    bet = np.sqrt(2 * math.log(1 / alpha) / (n * before))
    low, high = np.zeros(unit.shape[:-1]), np.ones(unit.shape[:-1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        m = middle[..., None]
        capital = np.cumsum(np.log1p(np.minimum(bet, _CAP / m) * (unit - m)), axis=-1).max(axis=-1)
        refuted = capital >= math.log(1 / alpha)
        low, high = np.where(refuted, middle, low), np.where(refuted, high, middle)
    return low
