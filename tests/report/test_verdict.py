from __future__ import annotations

from typing import Any

import pytest

from sparring.metrics.outcome import newcombe
from sparring.report.verdict import damage, exact_verdict, exact_worst, lost, verdict, worst


def test_damage_is_the_difference_from_the_benign_opponent(audit: Any, result: Any) -> None:
    audit["budgets"] = [result(1.0, 252)]
    found = damage(audit, result(1.0, 252))
    low, high = newcombe(252, 400, 184, 400)
    assert found == (pytest.approx(252 / 400 - 184 / 400), pytest.approx(low), pytest.approx(high))
    assert found.beyond_noise
    assert not damage(audit, result(1.0, 190)).beyond_noise


def test_the_best_of_several_attacks_needs_more_to_be_found(audit: Any, result: Any) -> None:
    attack = result(1.0, 213)
    several = audit | {"budgets": [result(0.3, 190), result(0.7, 190), attack]}
    audit["budgets"] = [attack]
    alone, among = damage(audit, attack), damage(several, attack)
    assert alone.value == among.value and among.low < 0 < alone.low and alone.high < among.high
    low, high = newcombe(213, 400, 184, 400, 2.3939797998185104)  # the 1 - .05/6 quantile: Bonferroni for three
    assert (among.low, among.high) == (pytest.approx(low), pytest.approx(high))
    assert "is beyond the noise" in verdict(audit)
    assert verdict(several).startswith("No tested attack does better than the benign opponent beyond the noise.")


def test_damage_beyond_the_noise(audit: Any) -> None:
    assert worst(audit)["budget"] == 1.0
    assert verdict(audit) == (
        "At budget 1 the attacker wins 63% [58, 68] of 400 matches; "
        "left alone the benign opponent wins 46% [41, 51] of 400. "
        "The damage, +17 points [+9, +25], is beyond the noise. "
        "A learned attack is a lower bound: a stronger one may exist."
    )


def test_the_smallest_damaging_budget_is_named(audit: Any, result: Any) -> None:
    audit["budgets"][0] = result(0.5, 230)
    assert "The smallest tested budget with damage beyond the noise is 0.5." in verdict(audit)


def test_an_attack_that_fails_proves_nothing(audit: Any, result: Any) -> None:
    audit["budgets"] = [result(0.5, 192), result(1.0, 150)]
    assert verdict(audit) == (
        "No tested attack does better than the benign opponent beyond the noise. "
        "At budget 0.5 the attacker wins 48% [43, 53] of 400 matches; "
        "left alone the benign opponent wins 46% [41, 51] of 400. "
        "The difference is +2 points [-6, +10]. "
        "This proves nothing about other attacks (a learned attack is a lower bound)."
    )


def test_an_attack_no_better_than_a_plain_opponent_says_so(audit: Any, rates: Any) -> None:
    audit["budgets"][1]["baselines"]["zero"] = rates(260, 0)
    text = verdict(audit)
    assert "But the zero baseline wins 65% [60, 70]: the attack's training added nothing." in text


def test_an_exact_audit_is_proved(exact_audit: Any) -> None:
    assert exact_worst(exact_audit)["budget"] == 1.0
    assert lost(exact_worst(exact_audit)) == pytest.approx(0.54)
    assert exact_verdict(exact_audit) == (
        "At budget 1 the attacker brings the victim's value from 0.125 down to -0.415, "
        "and no attacker can do more: this is exact. "
        "The most robust victim would still have -0.055; the gap of 0.36 is what hardening can win back. "
        "The smallest tested budget that costs the victim anything is 0.5."
    )


def test_a_victim_that_no_attack_hurts(exact_audit: Any, exact_result: Any) -> None:
    exact_audit["budgets"] = [exact_result(0.0, -0.125, -0.5), exact_result(1.0, -0.125 + 1e-12, -0.5)]
    assert exact_verdict(exact_audit).startswith("No attack at the tested budgets costs the victim anything")
    # In a game whose payoffs are 1e-12 the same difference is the whole range.
    for entry in exact_audit["budgets"]:
        entry["scale"] = 1e-12
    assert "costs the victim anything" not in exact_verdict(exact_audit)


def test_a_certificate_that_failed_is_told(exact_audit: Any) -> None:
    exact_audit["budgets"][0]["verified"] = False
    assert exact_verdict(exact_audit).endswith("The most robust value could not be verified at budget 0.5.")


def test_invalid_matches_are_mentioned(audit: Any) -> None:
    audit["budgets"][0]["invalid"] = 2
    assert verdict(audit).endswith("Matches cut off for broken physics, which count for nobody: 2.")
