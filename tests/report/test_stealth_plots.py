"""What is certain and what was found, in one picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from audits import exact, learned, returns, three_budgets

from sparring.records import Difference, replaced
from sparring.report.html import write_report
from sparring.report.stealth_plots import bracket_figure, certified, stealth_figures
from sparring.visibility import Apart, Area, Coupling, CouplingPoint, Density, Online, Visibility


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


def seen(budget: float, value: float = 0.8) -> Visibility:
    """What was seen of one attack; nothing stands for what was not measured."""
    area = Area(value=value, low=value - 0.1, high=min(value + 0.1, 1.0), roc=(0.0, 0.5, 1.0), p=0.01)
    common: dict[str, Any] = {"unit": "x", "floor": 0.1, "floor_low": 0.05, "floor_high": 0.2, "p": 0.5}
    return Visibility(
        budget=budget,
        distances=(
            Apart(measure="mmd", features="all features", value=0.3 * budget, low=0.1, high=0.4, **common),
            Apart(measure="kl", features="all features", value=None, reason="infinite: somewhere else", **common),
            Apart(measure="mmd", features="velocity", value=7.0, **common),
        ),
        auc_state=area,
        auc_window=area,
        auc_match=area,
        online=(
            Online(
                view="state",
                statistic="cusum",
                alpha=0.01,
                certified="299 benign matches certify 1%.",
                false_alarms=0.0,
                false_alarms_ci=(0.0, 0.02),
                benign_matches=100,
                caught=0.4,
                caught_ci=(0.3, 0.5),
                attacked_matches=100,
                steps=None,
                in_time=0.25,
                at_step=(1, 10, 20),
                caught_by=(0.0, 0.1, 0.4),
                false_by=(0.0, 0.0, 0.0),
            ),
        ),
        densities=(Density(feature="hip 2 velocity", edges=(0.0, 1.0, 2.0), benign=(0.5, 0.5), attacked=(0.9, 0.1)),),
        matches=(100, 100),
    )


COST = Difference(value=0.2, low=0.1, high=0.3)


def test_the_figures_of_attacks_show_what_was_measured_and_nothing_else() -> None:
    both = [seen(0.5), seen(1.0, 0.95)]
    found = stealth_figures(both, ["budget 0.5", "budget 1"], [COST, None], "win")
    assert list(found) == ["distances", "roc", "densities", "detection", "front"]
    assert found == stealth_figures(both, ["budget 0.5", "budget 1"], [COST, None], "win")
    for svg in found.values():
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    # An infinite distance has no mark, and no panel; a group's is in the table alone.
    assert ">mmd<" in found["distances"] and ">kl<" not in found["distances"]
    assert "budget 1: 0.95 [0.85, 1.00]" in found["roc"] and "hip 2 velocity" in found["densities"]
    assert "at most 1% false alarms" in found["detection"]
    # Damage of one attack is not known: it has no point.
    assert "budget 0.5" in found["front"] and "budget 1" not in found["front"]
    assert "damage: attacker's wins, points" in found["front"] and "victim's return" not in found["front"]
    assert stealth_figures([Visibility(budget=1.0)], ["budget 1"], [COST], "win") == {}


def test_an_audit_shows_how_visible_its_attacks_are(tmp_path: Path) -> None:
    audit = replaced(three_budgets(), visibility=(seen(0.25), seen(0.5), seen(1.0)))
    text = write_report(audit, tmp_path).read_text()
    for name in ("distances", "roc", "densities", "detection", "front"):
        assert (tmp_path / f"{name}.svg").exists()
    for part in (
        "infinite: somewhere else",
        "0.80 [0.70, 0.90]",
        "299 benign matches certify 1%.",
        "40% (state)",
        "25%",
    ):
        assert part in text
