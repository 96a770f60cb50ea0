"""Numbers in words. The expected texts follow from the rule alone: whole points, no sign on zero, one point."""

from __future__ import annotations

import pytest

from sparring.judgement.words import amount, mean, plain_amount, rate, shown_apart
from sparring.records import Difference, Measure, Rates


@pytest.mark.parametrize(
    ("measure", "difference", "text"),
    [
        ("win", (0.012, -0.004, 0.0231), "+1 point [0, +2]"),
        ("fail", (-0.01, -0.02, 0.0), "-1 point [-2, 0]"),
        ("win", (-0.001, -0.03, 0.03), "0 points [-3, +3]"),
        ("win", (0.11, 0.11, 0.11), "+11 points"),
        ("return", (-0.0, -1.5, 1.0), "0 [-1.5, +1]"),
        ("value", (1.0, 1.0, 1.0), "+1"),
    ],
)
def test_a_damage(measure: Measure, difference: tuple[float, float, float], text: str) -> None:
    value, low, high = difference
    assert amount(measure, Difference(value=value, low=low, high=high)) == text


def test_what_is_allowed() -> None:
    assert [plain_amount("win", x) for x in (0.01, 0.05, 0.0, -0.01)] == ["1 point", "5 points", "0 points", "-1 point"]
    assert plain_amount("return", -0.0) == "0"


def test_rates_and_means_close_to_zero() -> None:
    """A bound that should be 0 may miss it by rounding."""
    rates = Rates(win=0.0, win_ci=(-1e-17, 0.09), victim_return=-0.0, victim_return_ci=(-0.0, 0.5))
    assert rate(rates) == "0% [0, 9]" and mean(rates) == "0 [0, 0.5]"


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (0.5, -0.125, ("0.5", "-0.125")),
        (1e10 - 2.5, 1e10 - 5, ("9999999997.5", "9999999995")),
        (1 / 3, 1 / 3 - 1e-6, ("0.333333333", "0.333332333")),
        (1e-300, 0.0, ("1e-300", "0")),
        (0.1, 0.1, ("0.1", "0.1")),
        (None, 1.0, ("none", "1")),
    ],
)
def test_two_numbers_show_what_is_between_them(one: float | None, other: float, texts: tuple[str, str]) -> None:
    assert shown_apart(one, other) == texts
