"""Attacks that win equally often: what is compared at equal success is how visible they are (DECISIONS 21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sparring.errors import InputError
from sparring.metrics.intervals import newcombe

Z90 = 1.6448536269514722  # two one-sided tests at 5% each are this interval of 90%


class Equivalence(NamedTuple):
    """Whether two winning rates are equal up to a margin: two one-sided tests (Schuirmann 1987)."""

    difference: float  # first minus second
    low: float  # 90% interval (Newcombe's)
    high: float
    margin: float
    equivalent: bool  # the interval lies within the margin on both sides


def closest(wins: Sequence[int], matches: Sequence[int], rate: float) -> int:
    """Which of several attacks wins most nearly at a rate; of equally near ones the first.

    Choose on matches of their own, and compare on others: the chosen one's rate on these is the luckiest of several.

    Raises:
      InputError: no attack, or one without a match.
    """
    if not wins or len(wins) != len(matches) or min(matches) < 1:
        raise InputError(f"expected attacks with matches each, got {list(wins)} wins in {list(matches)} matches")
    # Equally near ones may differ by rounding.
    return min(range(len(wins)), key=lambda k: (round(abs(wins[k] / matches[k] - rate), 12), k))


def equivalence(wins: int, matches: int, other_wins: int, other_matches: int, margin: float = 0.1) -> Equivalence:
    """Compare two attacks' winning rates.

    Args:
      wins, matches: of the first.
      other_wins, other_matches: of the second.
      margin: rates count as equal where they are no further apart.

    Raises:
      InputError: a margin outside (0, 1), or as `wilson`.
    """
    if not 0 < margin < 1:
        raise InputError(f"margin: expected a number above 0 and below 1, got {margin}")
    low, high = newcombe(wins, matches, other_wins, other_matches, Z90)
    apart = wins / matches - other_wins / other_matches
    return Equivalence(apart, low, high, margin, -margin < low and high < margin)
