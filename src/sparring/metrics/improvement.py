"""Whether a training was still improving when it stopped."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.metrics.intervals import ALPHA
from sparring.types import Array

_BLOCKS = 5  # per third: enough for Student's t, and each long enough to even out what follows each other


class Gain(NamedTuple):
    """How much better the last third of a curve is than the third before it."""

    value: float
    low: float  # 95% interval
    high: float
    p: float  # one-sided: how often a curve that is flat from there on shows at least this gain


def last_third(values: Array, matches: Array, rates: bool) -> Gain | None:
    """Compare the last third of a curve with the third before it.

    Both thirds are cut into blocks of consecutive windows; Welch's t compares the blocks' means, so that the noise of
    the policy itself counts, and not only that of the matches. Of rates the variance is never taken to be smaller than
    that of independent matches.

    Args:
      values: float [w], in time order: win rates, or mean returns (larger is better).
      matches: int [w], matches per window.
      rates: the values are shares of matches.

    Returns:
      The gain; None where there are fewer than nine windows with matches, or nothing moves.

    Raises:
      InputError: shapes that differ, or a value that is not finite.
    """
    from scipy.special import stdtr, stdtrit

    values, matches = np.asarray(values, np.float64), np.asarray(matches, np.float64)
    if values.ndim != 1 or values.shape != matches.shape or not np.isfinite(values).all():
        raise InputError(f"a curve needs finite values [w] and matches [w], got {values.shape} and {matches.shape}")
    values, matches = values[matches > 0], matches[matches > 0]
    third = len(values) // 3
    if third < 3:
        return None
    means, variances, degrees = [], [], []
    for part in (slice(-2 * third, -third), slice(-third, None)):
        count = min(_BLOCKS, third)
        blocks = [
            np.average(v, weights=m)
            for v, m in zip(np.array_split(values[part], count), np.array_split(matches[part], count), strict=True)
        ]
        mean, total = float(np.average(values[part], weights=matches[part])), float(matches[part].sum())
        variance = float(np.var(blocks, ddof=1)) / count
        if rates:
            # With one success and one failure more, so that a rate of 1 in both thirds has a variance, too.
            shrunk = (mean * total + 1) / (total + 2)
            variance = max(variance, shrunk * (1 - shrunk) / total)
        means.append(mean)
        variances.append(variance)
        degrees.append(count - 1)
    error = math.sqrt(sum(variances))
    if error == 0:
        return None
    # Welch and Satterthwaite
    df = error**4 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
    gain, half = means[1] - means[0], float(stdtrit(df, 1 - ALPHA / 2)) * error
    return Gain(gain, gain - half, gain + half, float(stdtr(df, -gain / error)))
