"""Alarms while a match goes on, and from match to match, with a false-alarm rate that holds whenever one looks.

Steps of a match depend on each other, so that no martingale of single steps can be had, and Ville's 1/alpha does not
hold for them. What is calibrated is the largest value of a statistic over a whole benign match: an alarm at any step of
a match is an alarm of its largest value, so the rate holds at every stopping time within the match. Whole matches are
exchangeable, and there Ville's inequality holds.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from sparring.errors import InputError

Statistic = Literal["cusum", "cusum-two-sided", "betting"]
CONFIDENCE = 0.95
DRIFT = 0.5  # deviations of a step's score that a CUSUM forgives at each step
BOUND = 4.0  # deviations: a single score counts as no more than this
_STAKE = 0.5  # of what is at hand, at most this is bet on one step
_POWERS = np.linspace(0.05, 0.95, 19)  # bets eps p^(eps - 1) on a p-value of a match


class Running(NamedTuple):
    """A statistic in the course of M matches: float64 [M] each."""

    value: np.ndarray  # of CUSUM: the sum; of betting: the logarithm of the wealth
    other: np.ndarray  # of a two-sided CUSUM: the sum of the other side
    count: np.ndarray  # steps so far
    total: np.ndarray  # of their scores
    square: np.ndarray  # of their squares


def begun(matches: int) -> Running:
    """Before the first step of so many matches."""
    return Running(*(np.zeros(matches) for _ in Running._fields))


def advanced(statistic: Statistic, running: Running, score: np.ndarray) -> Running:
    """One step later.

    `cusum` is Page's: max(0, sum + score - drift). `cusum-two-sided` also looks for scores that are too low, as Kazari,
    Shereen and Dan do (IJCAI 2023). `betting` multiplies its wealth by 1 + bet * score / bound, with a bet that the
    scores before this step decide (Waudby-Smith and Ramdas' approximate growth-optimal one, never on low scores).

    Args:
      statistic: which one.
      running: so far.
      score: float64 [M], the step's score in deviations above its benign mean; NaN: this match has none now.
    """
    there = ~np.isnan(score)
    score = np.where(there, np.clip(score, -BOUND, BOUND), 0.0)
    if statistic == "betting":
        gain = score / BOUND
        # The prior is one observation of 0 with variance 1/4, in units of the bound.
        mean = running.total / (running.count + 1)
        variance = np.maximum((running.square + 0.25) / (running.count + 1) - mean**2, 1e-4)
        bet = np.clip(mean / (variance + mean**2), 0.0, _STAKE)
        after = Running(
            running.value + np.log1p(bet * gain),
            running.other,
            running.count + 1,
            running.total + gain,
            running.square + gain**2,
        )
    else:
        after = running._replace(
            value=np.maximum(running.value + score - DRIFT, 0.0),
            other=np.maximum(running.other - score - DRIFT, 0.0),
        )
    return Running(*(np.where(there, new, old) for new, old in zip(after, running, strict=True)))


def shown(statistic: Statistic, running: Running) -> np.ndarray:
    """The statistic's value now, float64 [M]; of betting the logarithm of the wealth."""
    return np.maximum(running.value, running.other) if statistic == "cusum-two-sided" else running.value


def paths(statistic: Statistic, scores: np.ndarray) -> np.ndarray:
    """The statistic after each step of whole matches, float64 [M, T].

    Args:
      statistic: which one.
      scores: float64 [M, T], as `advanced` takes them; NaN after a match's end.
    """
    running, found = begun(len(scores)), np.zeros_like(scores)
    for t in range(scores.shape[1]):
        running = advanced(statistic, running, scores[:, t])
        found[:, t] = shown(statistic, running)
    return found


class Threshold(NamedTuple):
    """What a benign match passes with at most this probability, with 95% confidence over the calibration."""

    value: float
    rate: float  # that can be certified: alpha, or more where there are too few matches
    certified: bool  # it is no more than what was asked for
    text: str  # in one sentence


def threshold(largest: np.ndarray, alpha: float, confidence: float = CONFIDENCE) -> Threshold:
    """The order statistic of benign matches' largest values above which there is an alarm (Wilks 1941).

    The k-th largest of n is passed by a fresh match with a probability that is Beta(k, n - k + 1); so it is at most
    alpha with the wanted confidence if a binomial number of n trials at alpha reaches k with that probability. The
    largest such k is taken. For k = 1 and alpha = 1% this needs n = 299.

    Args:
      largest: float [n], one for each benign match of the calibration.
      alpha: false alarms per match.
      confidence: over the calibration.

    Raises:
      InputError: no match, NaN, or an alpha outside of (0, 1).
    """
    from scipy.stats import binom

    largest = np.sort(np.asarray(largest, np.float64))
    n = len(largest)
    check_alpha(alpha)
    if not n or not np.isfinite(largest).all():
        raise InputError(f"threshold: expected the largest values of benign matches, all finite, got {n} of them")
    reached = binom.sf(np.arange(n), n, alpha)  # P(at least k = 1 .. n)
    k = int(np.count_nonzero(reached >= confidence))
    rate = alpha if k else 1 - (1 - confidence) ** (1 / n)
    asked = f"at most {alpha:.3g} false alarms per match, with {confidence:.0%} confidence over {n} benign matches"
    if k:
        return Threshold(float(largest[n - k]), rate, True, asked)
    need = needed(alpha, confidence)
    text = (
        f"{n} benign matches certify at most {rate:.3g} false alarms per match with {confidence:.0%} confidence, "
        f"not {alpha:.3g}, which takes {need}"
    )
    return Threshold(float(largest[-1]), rate, False, text)


def needed(alpha: float, confidence: float = CONFIDENCE) -> int:
    """The benign matches that a calibration needs: 299 for 1%."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-alpha))


def check_alpha(alpha: object) -> None:
    """Refuse what is no rate of false alarms.

    Raises:
      InputError: it is not a number between 0 and 1.
    """
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float, np.number)) or not 0 < float(alpha) < 1:
        raise InputError(f"alpha: expected a rate of false alarms between 0 and 1, got {alpha!r}")


class Martingale:
    """A conformal test martingale over whole matches (Vovk, Gammerman and Shafer 2022).

    Each match's value is ranked among those of the calibration and of all matches before it. While nothing is attacked
    the matches are exchangeable, the ranks are independent and uniform, and the wealth is a martingale: it ever reaches
    1/alpha with probability at most alpha, whenever one stops. The wealth is the mean over powers eps of the products
    of eps p^(eps - 1).
    """

    def __init__(self, calibration: np.ndarray, seed: int = 0) -> None:
        """
        Args:
          calibration: float [n], values of benign matches.
          seed: of the numbers that break ties.
        """
        self._values = sorted(float(value) for value in calibration)
        self._rng = np.random.default_rng([seed, 7])
        self._logs = np.zeros(len(_POWERS))

    def add(self, value: float) -> float:
        """Bet on one more match; returns the logarithm of the wealth."""
        from bisect import bisect_left, bisect_right, insort

        low, high = bisect_left(self._values, value), bisect_right(self._values, value)
        ties = high - low + 1  # with itself
        p = (len(self._values) - high + self._rng.uniform() * ties) / (len(self._values) + 1)
        insort(self._values, value)
        self._logs += np.log(_POWERS) + (_POWERS - 1) * math.log(max(p, 1e-300))
        top = self._logs.max()
        return float(top + math.log(np.exp(self._logs - top).mean()))
