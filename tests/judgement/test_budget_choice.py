from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from sparring.judgement.budget_choice import choose, comparisons
from sparring.records import Difference


def known(value: float, half: float = 0.0) -> Difference:
    return Difference(value=value, low=value - half, high=value + half)


def rows(table: Sequence[Sequence[float]], half: float = 0.0) -> list[list[Difference]]:
    return [[known(value, half) for value in row] for row in table]


# Table 4 of the paper, scores in percent: trained at .3, .7, 1 and not at all; attacked at .3, .7 and 1.
PAPER = [[38, 50, 71], [41, 43, 53], [44, 45, 50], [59, 78, 90]]


def test_the_papers_table_advises_a_training_budget_of_07() -> None:
    found = choose(rows(PAPER))
    # Least in each column: 38, 43, 50.
    regrets = [[0, 7, 21], [3, 0, 3], [6, 2, 0], [21, 35, 40]]
    assert [[regret.value for regret in row] for row in found.regrets] == regrets
    assert [worst.value for worst in found.worst] == [21, 3, 6, 40]
    assert found.at == (2, 0, 0, 2)
    assert found.best == 1 and found.alike == ()


def test_rows_that_noise_covers_cannot_be_told_apart() -> None:
    found = choose(rows(PAPER, half=2.0))
    apart = math.hypot(2.0, 2.0)
    assert found.regrets[0][2].low == pytest.approx(21 - apart) and found.regrets[0][2].high == pytest.approx(
        21 + apart
    )
    # Nobody does better than the best: its regret is 0, and at most what the second best may be ahead.
    assert (found.regrets[2][2].value, found.regrets[2][2].low) == (0, 0)
    assert found.regrets[2][2].high == pytest.approx(max(0.0, -3 + apart))
    # 3 + 2.8 at most, against 6 - 2.8 at least; and 21 - 2.8.
    assert found.best == 1 and found.alike == (2,)


def test_equal_rows_are_alike_and_rounding_is_no_difference() -> None:
    found = choose(rows([[1.0, 2.0], [1.0, 2.0]]))
    assert found.best == 0 and found.alike == (1,)
    nearly = rows([[1.0, 2.0 + 1e-12], [1.0, 2.0]])
    assert (choose(nearly).best, choose(nearly).alike) == (1, ())
    assert (choose(nearly, slack=1e-9).best, choose(nearly, slack=1e-9).alike) == (0, (1,))


def test_a_damage_that_is_not_known_is_taken_at_the_middle() -> None:
    unknown = Difference(value=None, low=-1.0, high=1.0)
    found = choose([[unknown], [known(0.25, 0.1)]])
    assert [worst.value for worst in found.worst] == [0.0, 0.25]
    assert found.alike == (1,)


def test_every_pair_of_victims_is_compared_at_every_budget() -> None:
    assert comparisons(4, 3) == 18
    assert comparisons(2, 1) == 1
