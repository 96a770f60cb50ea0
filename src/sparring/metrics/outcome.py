"""Outcomes of matches as rates and means, each with its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.types import NO_WINNER, AgentID, Array, Outcomes

Interval = tuple[float, float]

Z95 = 1.959963984540054  # the 97.5% quantile of the standard normal distribution


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


def bootstrap(values: Array, strata: Array, rng: np.random.Generator, resamples: int = 2000) -> Interval:
    """The 95% percentile interval of the mean of `values` [n], resampled within each stratum (Efron 1979).

    Args:
      values: float [n], e.g. returns.
      strata: int [n], the group that each value belongs to, e.g. its training seed; every resample keeps their sizes.
      rng: where the resamples are drawn from.
      resamples: how many.

    Raises:
      InputError: fewer than two values, shapes that differ, or a value that is not finite.
    """
    values, strata = np.asarray(values, np.float64), np.asarray(strata)
    if values.ndim != 1 or values.shape != strata.shape or len(values) < 2 or not np.isfinite(values).all():
        raise InputError(
            f"bootstrap: expected at least two finite values [n] with a stratum each, "
            f"got shapes {list(values.shape)} and {list(strata.shape)}"
        )
    groups = [values[strata == stratum] for stratum in np.unique(strata)]
    sums = np.array([sum(rng.choice(g, len(g)).sum() for g in groups) for _ in range(resamples)])
    low, high = np.quantile(sums / len(values), [0.025, 0.975])
    return float(low), float(high)


def summary(
    outcomes: Outcomes, attacker: int, victim: int, agents: Sequence[AgentID], rng: np.random.Generator
) -> dict[str, Any]:
    """What `evaluate` reports, as plain JSON.

    Args:
      outcomes: the matches; invalid ones are counted, and left out of everything else (DECISIONS 24).
      attacker: the attacker's index into `agents`.
      victim: the victim's index.
      agents: the game's agents, in its order.
      rng: for the intervals of the returns.

    Returns:
      `win`, `draw`, `loss`: rates of the attacker's (DECISIONS 16, 17); `victim_return`, `attacker_return`: means of
      the undiscounted returns; each with `<key>_ci: [low, high]`, or None where a single match gives no interval.
      `episodes`, `invalid`: valid and invalid matches. `mean_length`: steps.

    Raises:
      InputError: no match is valid.
    """
    valid = ~np.asarray(outcomes.invalid)
    n = int(valid.sum())
    if n == 0:
        raise InputError(f"none of the {len(valid)} matches is valid: the physics broke in every one")
    winner = np.asarray(outcomes.winner)[valid]
    won, drawn = int((winner == attacker).sum()), int((winner == NO_WINNER).sum())
    result: dict[str, Any] = {}
    for key, count in (("win", won), ("draw", drawn), ("loss", n - won - drawn)):
        result[key], result[f"{key}_ci"] = count / n, list(wilson(count, n))
    result |= {"episodes": n, "invalid": len(valid) - n}
    for key, index in (("victim_return", victim), ("attacker_return", attacker)):
        returns = np.asarray(outcomes.returns[agents[index]], np.float64)[valid]
        interval = list(bootstrap(returns, np.zeros(n), rng)) if n > 1 else None
        result[key], result[f"{key}_ci"] = float(returns.mean()), interval
    result["mean_length"] = float(np.asarray(outcomes.length)[valid].mean())
    return result
