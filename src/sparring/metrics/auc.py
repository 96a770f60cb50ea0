"""The area under the ROC curve (AUC) of scores, with an interval that knows which match each score comes from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sparring.metrics.intervals import Z95, Interval

FALSE_ALARMS = np.linspace(0, 1, 41)


class Auc(NamedTuple):
    """The chance that a score from an attack is above one from benign play; 1/2: they look the same."""

    value: float
    interval: Interval  # 95%, over matches
    p_value: float | None  # that the labels of the matches mean nothing, by permutation; None: not asked for
    null: Interval | None  # the central 95% of the permutations: what no attack at all gives at this many matches
    roc: tuple[float, ...] = ()  # true alarms at the shares of false alarms `FALSE_ALARMS`


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """The ranks 1 .. n within each column of [n] or [n, B]; equal scores share the mean of theirs."""
    rows = np.ascontiguousarray(scores.T)
    order = np.argsort(rows, axis=-1)
    ordered = np.take_along_axis(rows, order, -1)
    differs = ordered[..., 1:] != ordered[..., :-1]
    at = np.arange(rows.shape[-1])
    low, high = np.zeros(rows.shape, np.int64), np.full(rows.shape, len(at) - 1)
    low[..., 1:] = np.where(differs, at[1:], 0)
    high[..., :-1] = np.where(differs, at[:-1], len(at) - 1)
    low = np.maximum.accumulate(low, axis=-1)
    high = np.minimum.accumulate(high[..., ::-1], axis=-1)[..., ::-1]
    found = np.empty(rows.shape)
    np.put_along_axis(found, order, (low + high) / 2 + 1, -1)
    return found.T


def auc(scores: np.ndarray, attacked: np.ndarray) -> np.ndarray:
    """The AUC of each column of scores; of equal scores half count.

    Args:
      scores: float [n] or [n, B].
      attacked: bool [n], or [n, B] where the columns have labels of their own; both kinds occur in each column.
    """
    scores = np.asarray(scores)
    attacked = np.broadcast_to(np.asarray(attacked).reshape(len(scores), -1), (len(scores), scores[0].size))
    attacked = attacked.reshape(scores.shape)
    positive = attacked.sum(axis=0)
    # Mann and Whitney: the ranks of the attacked ones, less what they have among themselves.
    ranks = np.where(attacked, ranks_of(scores), 0.0).sum(axis=0)
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(scores) - positive))


def clustered_variance(scores: np.ndarray, attacked: np.ndarray, match: np.ndarray) -> float:
    """The variance of `auc(scores, attacked)` over matches, whose scores may depend on each other in any way.

    DeLong, DeLong and Clarke-Pearson (1988) for clusters (Obuchowski 1997): each score's place among those of the other
    kind, summed over the scores of a match, which is the unit.

    Args:
      scores: float [n].
      attacked: bool [n], the same for all scores of a match.
      match: int [n].

    Returns:
      The variance; NaN where one kind has fewer than two matches.
    """
    ranks, total = ranks_of(scores), 0.0
    for kind in (True, False):
        ours = attacked == kind
        others = np.count_nonzero(~ours)
        place = (ranks[ours] - ranks_of(scores[ours])) / others  # the share of the other kind that is below
        count = np.unique(match[ours], return_inverse=True)[1]
        sums = np.bincount(count, place - place.mean())
        if len(sums) < 2:
            return math.nan
        total += len(sums) / (len(sums) - 1) * float((sums**2).sum()) / np.count_nonzero(ours) ** 2
    return total


def score_interval(value: float, variance: float, matches: int) -> Interval:
    """The 95% interval of an AUC: Wilson's for a rate that would have this variance.

    Where the scores are apart (AUC 0 or 1) DeLong's variance is 0; the interval is then that of a rate among
    `matches` trials, which it never falls below in width.

    Args:
      value: the AUC.
      variance: of its estimate.
      matches: the number of matches of the rarer kind.
    """
    from scipy.special import stdtrit

    if not math.isfinite(variance):
        return 0.0, 1.0
    z = max(float(stdtrit(max(matches - 1, 1), 0.975)), Z95)
    spread = value * (1 - value)
    n = spread / variance if variance > 0 and spread > 0 else float(matches)
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(spread / n + z**2 / (4 * n**2))
    return max(min(centre - half, value), 0.0), min(max(centre + half, value), 1.0)


def roc(scores: np.ndarray, attacked: np.ndarray) -> np.ndarray:
    """The share of attacked scores above the threshold that `FALSE_ALARMS` of the benign ones are above, float64 [41].

    Args:
      scores: float [n].
      attacked: bool [n], both kinds occur.
    """
    benign, theirs = np.sort(scores[~attacked])[::-1], np.sort(scores[attacked])
    allowed = np.minimum((FALSE_ALARMS * len(benign)).astype(int), len(benign))  # as many may be above
    threshold = np.append(benign, -np.inf)[allowed]
    return 1 - np.searchsorted(theirs, threshold, side="right") / len(theirs)
