"""The coupling certificate: what no attacker under a budget can do, from benign matches alone (DECISIONS 25).

Let T be the number of decisions of the attacked agents in a match, and let the adversarial policy act at each of them
with probability eps, independently. With probability (1 - eps)^T it never acts, and then the match is the benign one.
So every number X >= 0 that a match has is worth at least E[(1 - eps)^T X] under every attack, where the expectation is
over benign matches: whatever the attacker knows, remembers or does.

    victim's value       >= R_min + E[(1 - eps)^T (R - R_min)]
    P(victim not lost)   >= E[(1 - eps)^T 1{victim has not lost}]
    P(attacker wins)     <= 1 - E[(1 - eps)^T 1{attacker has not won}]
    total variation      <= 1 - E[(1 - eps)^T] =: delta, between whole matches, with and without the attack
    AUC of any detector  <= 1 - (1 - delta)^2 / 2, for TPR - FPR <= delta

A decision with one legal action counts nothing: both policies choose it. Discounted, with n_t the decisions up to and
with step t: V >= r_min / (1 - gamma) + E sum_t gamma^t (1 - eps)^(n_t) (r_t - r_min).

With s = -log(1 - eps) all these expectations have the form h(s) = E[exp(-s N) X], N >= 0, 0 <= X <= 1. h falls in s,
and h(u) >= h(s)^(u / s) for u > s (Hoelder's inequality). So bounds at a few budgets that hold together bound h at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.metrics.intervals import ALPHA, least_mean
from sparring.types import AgentID, Coin, Control, Outcomes

# Budgets at which expectations are bounded: dense enough that little is lost between them, few enough that each has a
# good share of the error.
GRID = (0.0, *(1e-4 * 10 ** (k / 5) for k in range(16)), *(k / 20 for k in range(3, 20)))
VACUOUS = 0.01  # a certificate says nothing where less than this share of benign matches is sure to go on as it was
FEWEST = 2  # matches

VALUE, NON_FAIL, NOT_WON, SAME = "value", "non-fail", "not won", "same"
Curve = Callable[[Any], np.ndarray]  # budgets [...] to lower bounds [...]


class Range(NamedTuple):
    """What the victim's return (discounted: its value) can be."""

    low: float
    high: float


class Certificate(NamedTuple):
    """Lower bounds as functions of the budget; None: not known, or the game has no such thing."""

    value: Curve | None  # of the victim's return or value
    non_fail: Curve | None  # of the probability that the victim does not lose
    not_won: Curve | None  # of the probability that no attacker wins
    same: Curve  # of the probability that the match is as if there were no attack


def decisions(outcomes: Outcomes, attackers: Sequence[AgentID], control: Control, coin: Coin) -> np.ndarray:
    """How many coins decide about control in each match, int64 [n].

    Control at every step: one for each decision of each attacker, or, with a coin for the team, one for each step in
    which any of them decides; of those it is known that they are no more than the steps and no more than all decisions.
    Control for a whole match: one for each attacker that decides at all, or one for the team.

    Raises:
      InputError: blended control, of which nothing can be said: there is no match without the attacker.
    """
    each = np.stack([np.asarray(outcomes.decisions[agent], np.int64) for agent in attackers])
    if control == "blend":
        raise InputError(
            "control=blend: both policies' actions are blended at every step, so no bound holds for every attacker; "
            "use control step or episode"
        )
    if control == "episode":
        each = np.minimum(each, 1)
        return each.max(axis=0) if coin == "team" else each.sum(axis=0)
    total = each.sum(axis=0)
    return np.minimum(total, np.asarray(outcomes.length, np.int64)) if coin == "team" else total


def from_matches(
    coins: np.ndarray,
    *,
    non_fail: np.ndarray | None,
    not_won: np.ndarray | None,
    returns: np.ndarray | None,
    limits: Range | None,
    invalid: np.ndarray,
    alpha: float = ALPHA,
    grid: Sequence[float] = GRID,
) -> Certificate:
    """The certificate of n benign matches: all bounds hold together, at all budgets, with probability 1 - alpha.

    Args:
      coins: see `decisions`, int64 [n].
      non_fail: the victim did not lose, bool [n]; None: the game has no losers.
      not_won: no attacker won, bool [n]; None: the game has no winners.
      returns: of the victim, float64 [n]; read where `limits` are known.
      limits: the least and the largest return that is possible.
      invalid: bool [n]; such a match counts as the worst one.
      alpha: 1 - confidence.
      grid: budgets at which expectations are bounded, from 0 on: see `grid_with`.

    Raises:
      InputError: fewer than two matches, or a return outside its range.
    """
    coins, valid = np.asarray(coins, np.int64), ~np.asarray(invalid, bool)
    if len(coins) < FEWEST:
        raise InputError(f"matches: expected at least {FEWEST} for a certificate, got {len(coins)}")
    kept: dict[str, np.ndarray] = {SAME: np.ones(len(coins))}
    for name, flags in ((NON_FAIL, non_fail), (NOT_WON, not_won)):
        if flags is not None:
            kept[name] = (np.asarray(flags, bool) & valid).astype(np.float64)
    if returns is not None and limits is not None:
        kept[VALUE] = np.where(valid, _unit(np.asarray(returns, np.float64), limits, valid), 0.0)
    share = alpha / len(kept)
    with np.errstate(under="ignore"):
        factors = (1 - np.asarray(grid)[:, None]) ** coins  # [K, n]
    curves = {name: bounded(factors * numbers, share, grid) for name, numbers in kept.items()}
    return _certificate(curves, limits)


def from_rewards(
    kept: np.ndarray, limits: Range, same: np.ndarray, alpha: float = ALPHA, grid: Sequence[float] = GRID
) -> Certificate:
    """The certificate of n benign matches for a discounted value.

    Args:
      kept: (1 - gamma) sum_t gamma^t (1 - eps)^(n_t) (r_t - r_min) / (r_max - r_min) at each budget of `grid`,
        float64 [K, n]: see `play.keeping.Discounted`.
      limits: r_min / (1 - gamma) and r_max / (1 - gamma).
      same: coins of each match, int64 [n], for the total variation.
      alpha: 1 - confidence.
      grid: as in `from_matches`.

    Raises:
      InputError: fewer than two matches.
    """
    if kept.shape[-1] < FEWEST:
        raise InputError(f"matches: expected at least {FEWEST} for a certificate, got {kept.shape[-1]}")
    with np.errstate(under="ignore"):
        factors = (1 - np.asarray(grid)[:, None]) ** np.asarray(same, np.int64)
    curves = {VALUE: bounded(np.clip(kept, 0.0, 1.0), alpha / 2, grid), SAME: bounded(factors, alpha / 2, grid)}
    return _certificate(curves, limits)


def grid_with(budgets: Sequence[float]) -> tuple[float, ...]:
    """`GRID`, and further budgets below 1 at which nothing is to be lost."""
    return tuple(sorted({*GRID, *(float(budget) for budget in budgets if budget < 1)}))


def bounded(numbers: np.ndarray, alpha: float, grid: Sequence[float] = GRID) -> Curve:
    """A lower bound of h, at all budgets together, from matches at those of `grid`: numbers in [0, 1], [K, n]."""
    return between(least_mean(numbers, alpha / len(grid)), grid)


def between(lower: np.ndarray, grid: Sequence[float] = GRID) -> Curve:
    """A lower bound of h at all budgets from lower bounds at those of `grid`, float64 [K]."""
    exponents = -np.log1p(-np.asarray(grid))
    positive = exponents > 0

    def at(budgets: Any) -> np.ndarray:
        with np.errstate(divide="ignore"):
            s = -np.log1p(-np.asarray(budgets, np.float64))[..., None]
        above = np.where(exponents >= s, lower, 0.0)  # h falls
        with np.errstate(divide="ignore"):
            power = s / np.where(positive, exponents, 1.0)
        below = np.where(positive & (exponents < s), lower**power, 0.0)
        return np.maximum(above, below).max(axis=-1)

    return at


def exact(numbers: Mapping[str, tuple[np.ndarray, np.ndarray]], coins: np.ndarray, limits: Range | None) -> Certificate:
    """The certificate where the benign matches' probabilities are known: expectations in the place of bounds.

    Args:
      numbers: by name, numbers in [0, 1] and probabilities, float64 [n] each.
      coins: int64 [n].
      limits: of the numbers called "value".
    """

    def curve(values: np.ndarray, probability: np.ndarray) -> Curve:
        def at(budgets: Any) -> np.ndarray:
            with np.errstate(under="ignore"):
                return ((1 - np.asarray(budgets, np.float64)[..., None]) ** coins) @ (values * probability)

        return at

    return _certificate({name: curve(*pair) for name, pair in numbers.items()}, limits)


def certified_budget(curve: Curve, threshold: float) -> float | None:
    """The largest budget at which a falling bound is still at least the threshold; None: it is not even at budget 0."""
    if float(curve(0.0)) < threshold:
        return None
    if float(curve(1.0)) >= threshold:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(curve(middle)) >= threshold else (low, middle)
    return low


def auc_upper(total_variation: Any) -> np.ndarray:
    """The largest AUC of any detector between distributions at that total variation: 1 - (1 - delta)^2 / 2.

    Its ROC curve lies below both 1 and FPR + delta; the bound is the area under the two.
    """
    return 1 - (1 - np.asarray(total_variation, np.float64)) ** 2 / 2


def _certificate(curves: Mapping[str, Curve], limits: Range | None) -> Certificate:
    value = curves.get(VALUE)
    if value is not None:
        assert limits is not None
        unit, (low, high) = value, limits

        def scaled(budgets: Any) -> np.ndarray:
            return low + (high - low) * unit(budgets)

        value = scaled

    def same(budgets: Any) -> np.ndarray:  # without control a match is what it is
        return np.where(np.asarray(budgets) == 0, 1.0, curves[SAME](budgets))

    return Certificate(value, curves.get(NON_FAIL), curves.get(NOT_WON), same)


def _unit(returns: np.ndarray, limits: Range, valid: np.ndarray) -> np.ndarray:
    """Returns as parts of their range, in [0, 1]."""
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"return-range: expected two finite numbers LOW < HIGH, got {low:g} {high:g}")
    slack = 1e-6 * (high - low)  # of rewards added up in float32
    seen = returns[valid]
    if len(seen) and (seen.min() < low - slack or seen.max() > high + slack):
        raise InputError(
            f"return-range: expected every return of the victim in [{low:g}, {high:g}], got {seen.min():g} to "
            f"{seen.max():g} in benign matches: give the least and the largest one that is possible"
        )
    return np.clip((returns - low) / (high - low), 0.0, 1.0)
