"""The coupling certificate from matches: its bounds hold together at all budgets, as often as is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.metrics.coupling import (
    GRID,
    Range,
    auc_upper,
    between,
    certified_budget,
    decisions,
    from_matches,
    grid_with,
)
from sparring.types import Outcomes

EVERYWHERE = np.unique([*GRID, *np.linspace(0, 1, 101), *np.geomspace(1e-5, 1, 60)])


def outcomes(length: Any, **moved: Any) -> Outcomes:
    n = len(length)
    counts = {agent: np.asarray(count, np.int32) for agent, count in moved.items()}
    return Outcomes(None, np.asarray(length, np.int32), np.zeros(n, bool), {}, counts)


@pytest.mark.parametrize(
    ("control", "coin", "expected"),
    [
        ("step", "agent", [5, 3, 9]),
        ("step", "team", [3, 3, 5]),
        ("episode", "agent", [2, 1, 2]),
        ("episode", "team", [1, 1, 1]),
    ],
)
def test_coins_are_counted_as_control_is_drawn(control: Any, coin: Any, expected: list[int]) -> None:
    """Agents a and b in matches of 3, 6 and 5 steps; b stands by, and would not be counted, as c is not."""
    matches = outcomes([3, 6, 5], a=[2, 3, 5], b=[3, 0, 4], c=[1, 1, 1])
    np.testing.assert_array_equal(decisions(matches, ("a", "b"), control, coin), expected)


def test_blended_control_has_no_certificate() -> None:
    with pytest.raises(InputError, match="no bound holds for every attacker"):
        decisions(outcomes([3], a=[3]), ("a",), "blend", "agent")


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=4),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
)
def test_between_the_grid_the_bound_is_below_the_truth_if_it_is_on_it(
    law: list[tuple[int, float]], weights: Any
) -> None:
    """Hoelder's inequality: from the true expectations at the grid's budgets follow true bounds at all others."""
    coins, worth = np.array([c for c, _ in law]), np.array([x for _, x in law])
    chance = np.array(weights[: len(law)]) / sum(weights[: len(law)])

    def truth(budget: np.ndarray) -> np.ndarray:
        return (chance * worth) @ (1 - budget) ** coins[:, None]

    found = between(truth(np.array(GRID)))(EVERYWHERE)
    assert (found <= truth(EVERYWHERE) + 1e-12).all()
    assert (np.diff(found) <= 1e-12).all()  # it falls, so that halving finds the certified budget
    if len(set(law)) == 1 and worth[0] == 1:
        # Of equal matches that are worth all there is, nothing is lost between the budgets of the grid.
        inner = (GRID[1] <= EVERYWHERE) & (EVERYWHERE < 1)
        np.testing.assert_allclose(found[inner], truth(EVERYWHERE)[inner], rtol=1e-9, atol=1e-12)


Law = Mapping[str, Any]  # coins, chance and return of each kind of match


def wrong(rng: np.random.Generator, n: int, law: Law, limits: Range) -> tuple[bool, float]:
    """Whether a certificate from n matches of a known law is wrong anywhere, and how far its value at .01 is below."""
    drawn = rng.choice(len(law["coins"]), n, p=law["chance"])
    lost = law["return"] < 0
    found = from_matches(
        law["coins"][drawn],
        non_fail=~lost[drawn],
        not_won=~lost[drawn],
        returns=law["return"][drawn],
        limits=limits,
        invalid=np.zeros(n, bool),
    )
    keep = (1 - EVERYWHERE[:, None]) ** law["coins"] * law["chance"]
    unit = (law["return"] - limits.low) / (limits.high - limits.low)
    truths = [limits.low + (limits.high - limits.low) * keep @ unit, keep @ ~lost, keep @ ~lost, keep.sum(axis=1)]
    bounds = [
        np.inf * truth if curve is None else curve(EVERYWHERE) for curve, truth in zip(found, truths, strict=True)
    ]
    above = any((bound > truth + 1e-9).any() for bound, truth in zip(bounds, truths, strict=True))
    return above, float((truths[0] - bounds[0])[EVERYWHERE.searchsorted(0.01)])


LAWS = {
    "short": ([1, 2, 2, 3], [0.4, 0.3, 0.2, 0.1], [1.0, -1.0, 2.0, -2.0]),
    "long": ([10, 200, 40], [0.5, 0.2, 0.3], [-1.0, 2.0, 1.0]),
    "rare": ([1, 400], [0.98, 0.02], [1.0, -2.0]),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_certificate_is_seldom_wrong_anywhere(name: str) -> None:
    """At most 5% of 100 certificates of 50 matches, with room for luck: 13 is the 1 - 1e-3 quantile at 5%."""
    law: Law = dict(zip(("coins", "chance", "return"), map(np.array, LAWS[name]), strict=True))
    rng = np.random.default_rng(7)
    assert sum(wrong(rng, 50, law, Range(-2.0, 2.0))[0] for _ in range(100)) <= 13


def test_more_matches_make_it_tighter() -> None:
    law: Law = dict(zip(("coins", "chance", "return"), map(np.array, LAWS["short"]), strict=True))
    rng = np.random.default_rng(0)
    widths = [wrong(rng, n, law, Range(-2.0, 2.0))[1] for n in (50, 400, 4000)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2] > 0


def test_an_invalid_match_counts_as_the_worst() -> None:
    n, broken = 400, np.arange(400) < 100
    common: dict[str, Any] = {
        "returns": np.ones(n),
        "limits": Range(-1.0, 1.0),
        "non_fail": np.ones(n),
        "not_won": None,
    }
    found = from_matches(np.full(n, 5), **common, invalid=broken)
    sound = from_matches(np.full(n, 5), **common, invalid=~np.ones(n, bool))
    assert found.not_won is None
    for curve, other in zip(found[:2], sound[:2], strict=True):
        assert curve is not None and other is not None
    assert found.non_fail is not None and sound.non_fail is not None
    assert 0.6 < float(found.non_fail(0.0)) < 0.75 < 0.9 < float(sound.non_fail(0.0))
    # An invalid match is as much a match as any other: for a detector it is what it was.
    assert float(found.same(0.1)) == float(sound.same(0.1))
    # What it has in its return is not read.
    common["returns"] = np.where(broken, np.nan, 1.0)
    with np.errstate(invalid="ignore"):
        again = from_matches(np.full(n, 5), **common, invalid=broken)
    assert again.value is not None and found.value is not None and float(again.value(0.1)) == float(found.value(0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limits": Range(0.0, 0.5)}, r"expected every return of the victim in \[0, 0.5\], got 1 to 1"),
        ({"limits": Range(1.0, 1.0)}, "expected two finite numbers LOW < HIGH, got 1 1"),
        ({"limits": Range(0.0, float("inf"))}, "expected two finite numbers LOW < HIGH"),
    ],
)
def test_a_return_that_its_range_does_not_hold_is_refused(change: Any, message: str) -> None:
    given: dict[str, Any] = {"non_fail": None, "not_won": None, "returns": np.ones(5), "invalid": np.zeros(5, bool)}
    with pytest.raises(InputError, match=message):
        from_matches(np.ones(5, int), **given, **change)


def test_one_match_is_too_few() -> None:
    with pytest.raises(InputError, match="matches: expected at least 2 for a certificate, got 1"):
        from_matches(np.ones(1, int), non_fail=None, not_won=None, returns=None, limits=None, invalid=np.zeros(1, bool))


def test_the_certified_budget_is_where_the_bound_meets_the_threshold() -> None:
    def falling(budgets: Any) -> np.ndarray:
        return 1 - np.asarray(budgets) ** 2

    assert certified_budget(falling, 0.75) == pytest.approx(0.5, abs=1e-12)
    assert certified_budget(falling, 0.0) == 1.0 and certified_budget(falling, 1.5) is None


def test_the_largest_auc_is_the_area_under_the_two_lines() -> None:
    """TPR <= min(1, FPR + delta), integrated numerically."""
    rate = np.linspace(0, 1, 200_001)
    for delta in (0.0, 0.2, 0.7, 1.0):
        area = float(np.minimum(1, rate + delta).mean())
        assert float(auc_upper(delta)) == pytest.approx(area, abs=1e-5)


def test_an_asked_budget_is_a_point_of_the_grid_where_nothing_is_to_be_lost() -> None:
    """At .05, between .0398 and .0631, a bound that is not near the top of its range fell to that of .0631."""
    rng = np.random.default_rng(0)
    coins, returns = rng.integers(5, 15, 500), rng.uniform(0.2, 0.6, 500)
    given: dict[str, Any] = {"non_fail": None, "not_won": None, "returns": returns, "invalid": np.zeros(500, bool)}
    plain = from_matches(coins, limits=Range(0.0, 1.0), **given)
    asked = from_matches(coins, limits=Range(0.0, 1.0), grid=grid_with([0.05, 1.0]), **given)
    assert plain.value is not None and asked.value is not None
    truth = float((0.95**coins * returns).mean())
    assert plain.value(0.05) + 0.01 < asked.value(0.05) < truth
    for budget in GRID:  # one more budget costs hardly anything at the others
        assert asked.value(budget) == pytest.approx(float(plain.value(budget)), abs=2e-3)
