"""At which budget to train, if the budget of the attack is not known: the least worst-case regret.

The paper's Table 4 sets victims that were trained at several budgets against attacks at others. The regret of a victim
at one budget of attack is its damage above that of the victim that suffers least there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sparring.records import Difference


class Choice(NamedTuple):
    """What a matrix of damages advises; rows are victims, columns are budgets of attack."""

    regrets: tuple[tuple[Difference, ...], ...]  # of each row in each column
    worst: tuple[Difference, ...]  # of each row: the largest of its regrets
    at: tuple[int, ...]  # of each row: the column of that regret
    best: int  # the row of the least worst regret; the first of equal ones
    alike: tuple[int, ...]  # other rows whose worst regret has an interval that overlaps with the best row's


def comparisons(rows: int, columns: int) -> int:
    """How many differences between two victims are looked at: so many intervals have to hold together."""
    return max(rows * (rows - 1) // 2 * columns, 1)


def choose(damages: Sequence[Sequence[Difference]], slack: float = 0.0) -> Choice:
    """The row of the least worst-case regret, and the rows that cannot be told from it.

    The difference of two damages has the interval that adds the distances to both ends in quadrature, as that of
    `sparring compare`. The damages' intervals have the level at which `comparisons` of them hold together
    (`damage_of(..., together=comparisons(rows, columns))`), so all regrets hold together, and so do their maxima. A
    damage that is not known, because no match was valid, is taken at the middle of its interval.

    Args:
      damages: a row for each victim, at least two; all of one length, at least one.
      slack: the difference of exact damages that is rounding.
    """
    columns = range(len(damages[0]))
    regrets = tuple(tuple(_regret(damages, i, j) for j in columns) for i in range(len(damages)))
    worst = tuple(_largest(row) for row in regrets)
    at = tuple(max(columns, key=lambda j, row=row: (_value(row[j]), -j)) for row in regrets)
    least = min(_value(one) for one in worst)
    best = next(i for i in range(len(worst)) if _value(worst[i]) <= least + slack)
    alike = tuple(i for i in range(len(worst)) if i != best and worst[i].low <= worst[best].high + slack)
    return Choice(regrets, worst, at, best, alike)


def _regret(damages: Sequence[Sequence[Difference]], row: int, column: int) -> Difference:
    """How much more a victim suffers than the one that suffers least; nobody suffers less than that one: at least 0."""
    ours = damages[row][column]
    apart = [_apart(ours, other[column]) for k, other in enumerate(damages) if k != row]
    return _largest([Difference(value=0.0, low=0.0, high=0.0), *apart])


def _largest(several: Sequence[Difference]) -> Difference:
    """The largest value, and the largest of each end of their intervals."""
    values, lows, highs = ([getattr(one, end) for one in several] for end in ("value", "low", "high"))
    return Difference(value=max(values), low=max(lows), high=max(highs))


def _apart(ours: Difference, theirs: Difference) -> Difference:
    first, second = _value(ours), _value(theirs)
    value = first - second
    low = value - math.hypot(first - ours.low, theirs.high - second)
    return Difference(value=value, low=low, high=value + math.hypot(ours.high - first, second - theirs.low))


def _value(damage: Difference) -> float:
    return (damage.low + damage.high) / 2 if damage.value is None else damage.value
