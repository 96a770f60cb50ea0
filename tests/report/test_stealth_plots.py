"""What is certain and what was found, in one picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from audits import exact, learned, returns, three_budgets

from sparring.records import replaced
from sparring.report.stealth_plots import bracket_figure, certified
from sparring.visibility import Coupling, CouplingPoint


def certificate(**changes: Any) -> Coupling:
    """Matches of 20 decisions, half of them lost, all of -1 or 1: by hand at each budget."""
    points = tuple(
        CouplingPoint(
            budget=budget,
            value_lower=-1 + (1 - budget) ** 20,
            non_fail_lower=(1 - budget) ** 20 / 2,
            attacker_win_upper=1 - (1 - budget) ** 20 / 2,
            total_variation_upper=1 - (1 - budget) ** 20,
            auc_upper=1.0,
        )
        for budget in (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)
    )
    known: dict[str, Any] = {name: getattr(points[-1], name) for name in CouplingPoint.__struct_fields__}
    known |= {"value_is": "return", "value_low": -1.0, "value_high": 1.0, "at_least": -0.5, "at_least_from": "half"}
    known |= {"certified_budget": 0.034, "vacuous_above": 0.2, "matches": 300, "confidence": 0.95, "curve": points}
    return Coupling(**{**known, **changes})


def test_the_figure_shows_the_bound_and_the_attacks() -> None:
    audit = replaced(three_budgets(), coupling=certificate())
    svg = bracket_figure(audit, "win")
    assert svg is not None and svg == bracket_figure(audit, "win")
    for text in (
        "certified",
        "the truth lies here",
        "strongest attack found",
        "nothing is certain",
        "300 benign matches",
    ):
        assert text in svg
    assert ElementTree.fromstring(svg).attrib["viewBox"] == "0 0 675 315"
    assert bracket_figure(audit, "fail") not in (None, svg)
    # Where nothing can be told beyond a budget near 1, it is not marked.
    sure = bracket_figure(replaced(audit, coupling=certificate(vacuous_above=0.99)), "win")
    assert sure is not None and "nothing is certain" not in sure


def test_an_exact_audit_shows_the_truth() -> None:
    audit = replaced(exact({0.0: 0.1, 0.5: -0.2, 1.0: -0.4}), coupling=certificate(matches=0, confidence=1.0))
    svg = bracket_figure(audit, "value")
    assert svg is not None and "the worst attack, exact" in svg and "bound: computed" in svg
    assert "the truth lies here" not in svg


def test_without_a_certificate_in_the_audits_measure_there_is_no_figure() -> None:
    assert bracket_figure(three_budgets(), "win") is None
    audit = learned({1.0: returns([1.0, 2.0] * 50)}, returns([3.0] * 100))
    shares = certificate(value_is="non-fail")
    assert bracket_figure(replaced(audit, coupling=shares), "return") is None
    assert bracket_figure(replaced(audit, coupling=certificate()), "return") is not None


@pytest.mark.parametrize(
    ("measure", "expected"), [("win", 1 - 0.99**20 / 2), ("fail", 1 - 0.99**20 / 2), ("return", -1 + 0.99**20)]
)
def test_what_is_certain_in_each_measure(measure: Any, expected: float) -> None:
    point = certificate().curve[2]
    assert certified(point, measure, "return") == pytest.approx(expected)
    if measure == "return":
        assert certified(point, measure, "non-fail") is certified(point, measure, "discounted return") is None
