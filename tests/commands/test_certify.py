from __future__ import annotations

import json
from pathlib import Path

import pytest

import sparring
from sparring import cli
from sparring.commands import certify

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_certify_prints_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["certify", KUHN, "--victim", "uniform", "--benign", "uniform", "--budget", "0.7", "--out", "run"]
    assert cli.main([*words, "--exact", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["expl"] == pytest.approx(0.25416667, abs=1e-8)
    assert result["robust_expl"] == pytest.approx(-0.03888889, abs=1e-8)
    assert result["gap"] == pytest.approx(result["expl"] - result["robust_expl"])
    assert result["lower"] <= result["upper"] <= result["lower"] + 1e-9
    assert result["verified"] is True and result["exact"] is True
    assert (result["budget"], result["victim_seat"], result["attackers"]) == (0.7, 0, [1])
    assert [bound["vacuous"] for bound in result["bounds"]] == [True, True]
    assert all(bound["true"] <= bound["sharp"] + 1e-12 for bound in result["bounds"])
    # What was written is what was found: the robust victim, and the attack on the given one.
    again = sparring.certify(KUHN, victim=f"tabular:{result['robust_victim']}", budget=0.7)
    assert again["expl"] == pytest.approx(result["robust_expl"], abs=1e-12)
    played = sparring.evaluate(KUHN, victim="uniform", attacker=f"tabular:{result['attack']}", budget=0.7)
    assert -played["victim_value"] == pytest.approx(result["expl"], abs=1e-12)
    record = json.loads(Path("run/certificate.json").read_text())
    assert record["verified"] and record["lower"] == result["lower"]
    assert "verified in rationals" in certify.text(result | {"bounds": []})


def test_an_optimal_victim_has_no_gap() -> None:
    result = sparring.certify(KUHN, victim="nash", victim_seat=1)
    # The value of Kuhn poker is 1/18 for the second player (Kuhn 1950).
    assert result["expl"] == pytest.approx(-1 / 18, abs=1e-9)
    assert result["gap"] == pytest.approx(0, abs=1e-9) and result["verified"]


def test_bounds_hold_and_are_shown_in_a_discounted_game() -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(3, 3, 2, 2, 0.5, 2).game)
    result = sparring.certify("markov/game.npz", victim="uniform", budget=0.2)
    names = [bound["name"] for bound in result["bounds"]]
    assert "Proposition 3.1" in names and len(names) == len(set(names)) > 2
    for bound in result["bounds"]:
        assert bound["true"] <= bound["paper"] * (1 + 1e-9) + 1e-12
    assert "Proposition 3.1: " in certify.text(result)
