from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from sparring.errors import InputError
from sparring.metrics.matching import Z90, closest, equivalence


def test_the_attack_that_wins_most_nearly_at_the_rate_is_chosen() -> None:
    assert closest([10, 45, 80], [100, 100, 100], 0.5) == 1
    assert closest([10, 9, 1], [20, 20, 20], 0.5) == 0
    assert closest([4, 6], [10, 10], 0.5) == 0  # equally near: the first
    assert closest([5, 6], [10, 10], 0.55) == 0  # but for rounding
    with pytest.raises(InputError, match="expected attacks with matches each"):
        closest([], [], 0.5)


def test_rates_are_equal_where_their_interval_lies_within_the_margin() -> None:
    found = equivalence(500, 1000, 510, 1000)
    assert found.equivalent and found.difference == pytest.approx(-0.01)
    assert -0.1 < found.low < found.difference < found.high < 0.1
    # Few matches cannot show it, however alike the rates are; and many show that others are not alike.
    assert not equivalence(10, 20, 10, 20).equivalent
    assert not equivalence(650, 1000, 500, 1000).equivalent
    assert norm.cdf(Z90) == pytest.approx(0.95)


def test_rates_at_the_margin_are_called_equal_in_one_of_twenty() -> None:
    """The error of the two one-sided tests, with room for luck: 4 standard deviations of 2,000 trials."""
    rng = np.random.default_rng(3)
    wins, others = rng.binomial(400, 0.5, 2000), rng.binomial(400, 0.4, 2000)
    called = np.mean([equivalence(int(a), 400, int(b), 400).equivalent for a, b in zip(wins, others, strict=True)])
    assert called <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000)
    assert called >= 0.02  # and not much more cautious than that


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_is_a_part_of_one(margin: float) -> None:
    with pytest.raises(InputError, match="margin: expected a number above 0 and below 1"):
        equivalence(1, 2, 1, 2, margin)
