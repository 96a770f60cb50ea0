from __future__ import annotations

from pathlib import Path

import pytest

import sparring
from sparring.commands.learned_defence import _longest_match
from sparring.exact.markov_game import random_game
from sparring.games import make
from sparring.games.finite import finite
from sparring.games.markov import SampledMarkovGame

KUHN = "openspiel/kuhn_poker"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("learner", "method"), [("a2c", "min-oracle"), ("rpg", "two-timescale"), ("a2c", "retrain")])
def test_networks_learn_to_be_less_exploitable(learner: str, method: str) -> None:
    settings = {"budget": 0.7, "oracle": "learned", "learner": learner, "method": method, "num_games": 128}
    result = sparring.defend(KUHN, steps=60, learning_rate=0.05, **settings)
    assert result["oracle"] == "learned" and result["robust_expl"] == pytest.approx(-0.0388888888888889, abs=1e-9)
    # A new network is near uniform, whose Expl is .25416667.
    assert result["start_expl"] == pytest.approx(0.254, abs=0.05)
    assert result["robust_expl"] - 1e-9 <= result["expl"] < result["start_expl"] - 0.03
    certified = sparring.certify(KUHN, victim=f"run:{result['run']}", budget=0.7)
    assert certified["expl"] == pytest.approx(result["expl"], abs=1e-12)


def test_rounds_are_long_enough_for_whole_matches() -> None:
    kuhn, rps = finite(make(KUHN)), finite(make("matrix/rps"))
    assert kuhn is not None and rps is not None
    assert _longest_match(kuhn) == (3, 1.0)  # pass, bet, and the answer
    assert _longest_match(rps) == (1, 1.0)
    assert _longest_match(SampledMarkovGame(random_game(0, 2, 2, 2, 0.5, 2).game, horizon=7)) == (7, 0.5)


def test_same_seed_same_network() -> None:
    runs = [sparring.defend("matrix/rps", oracle="learned", steps=5, seed=seed) for seed in (1, 1, 2)]
    files = [Path(run["policy"]).read_bytes() for run in runs]
    assert files[0] == files[1] != files[2]
