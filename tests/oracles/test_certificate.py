"""From benign matches to the record of a certificate, in games that are played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leaving_games import chances_to_leave
from markupsafe import escape

import sparring
from sparring.errors import InputError
from sparring.games.tree import SampledTree
from sparring.oracles import certificate
from sparring.oracles.learned import LearnedOracle
from sparring.oracles.options import Seats
from sparring.oracles.seating import Question, ask
from sparring.policies import TabularPolicy
from sparring.types import Outcomes


def question(number: int) -> Question:
    """A victim that looks on, and an agent that should stay `number` times."""
    settings = Seats(
        game=lambda num_games: SampledTree(chances_to_leave(number), num_games),
        benign=TabularPolicy(np.tile([1.0, 0.0], (number, 1))),
    )
    return ask(settings, "first")


@pytest.mark.slow
def test_a_sampled_certificate_is_close_below_the_truth_where_it_is_known() -> None:
    """Six decisions, all benign matches alike: (1 - eps)^6, and with 2,000 matches little less."""
    oracle = LearnedOracle(question(6))
    outcomes = oracle.play(oracle.question.threat.benign, 0.0, 2000, 1, "matches", 0)
    assert (outcomes.decisions["player1"] == 6).all()
    found = certificate.from_matches(outcomes, oracle.question.threat, None)
    for eps in (0.001, 0.02, 0.3):
        assert found.not_won is not None
        assert 0.98 * (1 - eps) ** 6 < float(found.not_won(eps)) <= (1 - eps) ** 6
    # The worst attack: it leaves where it can, and is lost as often as the certificate says.
    leave = TabularPolicy(np.tile([0.0, 1.0], (6, 1)))
    attacked = oracle.play({"player1": leave}, 0.3, 2000, 2, "matches", 0)
    stayed = float((attacked.returns["player0"] == 1).mean())
    assert abs(stayed - 0.7**6) < 5 * np.sqrt(0.7**6 * (1 - 0.7**6) / 2000)


def test_matches_of_several_evaluations_are_one_sample() -> None:
    oracle = LearnedOracle(question(2))
    one, two = (oracle.play(oracle.question.threat.benign, 0.0, n, n, "matches", 0) for n in (5, 8))
    both = certificate.together([one, two])
    assert len(both.length) == 13 and both.decisions["player1"].tolist() == [2] * 13
    np.testing.assert_array_equal(
        both.returns["player0"], np.concatenate([one.returns["player0"], two.returns["player0"]])
    )
    older = Outcomes(None, one.length, one.invalid, one.returns, {})
    with pytest.raises(InputError, match="did not count decisions"):
        certificate.together([one, older])
    assert "did not count decisions" in str(oracle.certificate([older], (1.0,)))


@pytest.mark.slow
def test_an_audit_says_what_is_certain_or_why_nothing_is(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "victim": "zero",
        "benign": "zero",
        "steps": 64,
        "episodes": 8,
        "budgets": (0.5,),
        "clip": False,
    }
    found = sparring.audit("discs/duel", out=f"{tmp_path}/sure", **settings)
    certain = found["coupling"]
    assert found["no_coupling"] is None and certain["matches"] == 16 and certain["budget"] == 0.5
    assert {0.5, 1.0, 0.0} <= {point["budget"] for point in certain["curve"]}
    page = (tmp_path / "sure" / "report.html").read_text()
    assert "What is certain" in page and (tmp_path / "sure" / "bracket.svg").exists()
    blend = sparring.audit("discs/duel", out=f"{tmp_path}/blend", control="blend", **settings)
    assert blend["coupling"] is None and "no bound holds for every attacker" in blend["no_coupling"]
    assert escape(blend["no_coupling"]) in (tmp_path / "blend" / "report.html").read_text()
