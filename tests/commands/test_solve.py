from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring.commands.solve import best_response, exploitability, robust_policy
from sparring.errors import InputError
from sparring.exact.certificate import verify
from sparring.games import make
from sparring.games.finite import finite, infosets
from sparring.policies import TabularPolicy
from sparring.types import ThreatModel

KUHN = "openspiel/kuhn_poker"
GOLDENS = Path(__file__).parents[1] / "goldens"


def skewed(rows: Any) -> np.ndarray:
    """The benign policy "skewed" of the golden numbers: the j-th legal action has weight j + 1."""
    weight = np.where(np.arange(rows.actions.shape[1]) < rows.count[:, None], np.arange(rows.actions.shape[1]) + 1, 0)
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seat", [0, 1])
def test_the_golden_numbers_of_kuhn_poker(seat: int) -> None:
    """Computed by an independent implementation, each optimum certified by its dual."""
    golden = json.loads((GOLDENS / "kuhn.json").read_text())
    game = finite(make(KUHN))
    assert game is not None
    victim, attacker = game.agents[seat], game.agents[1 - seat]
    rows = infosets(game, attacker)
    benign = {"uniform": "uniform", "skewed": skewed(rows)}
    for record in golden["expl"]:
        if record["victim_seat"] == seat:
            threat = ThreatModel(victim, (attacker,), {attacker: benign[record["benign"]]}, record["eps"])
            assert exploitability(game, record["victim"], threat) == pytest.approx(record["expl"], abs=1e-8)
    for record in golden["robust"]:
        if record["victim_seat"] == seat:
            threat = ThreatModel(victim, (attacker,), {attacker: benign[record["benign"]]}, record["eps"])
            certificate = robust_policy(game, threat)
            assert -certificate.lower == pytest.approx(record["min_expl"], abs=1e-8)
            assert verify(certificate).verified and certificate.gap < 1e-9


def test_python_takes_a_threat() -> None:
    threat = ThreatModel("row", ("col",), {"col": TabularPolicy(np.full((1, 3), 1 / 3))}, 0.5)
    assert sparring.exploitability("matrix/rps", "first", threat) == pytest.approx(0.5)
    found = best_response(make("matrix/rps"), np.array([[1.0, 0, 0]]), threat)
    assert found.value == pytest.approx(-0.5) and found.policy.tolist() == [[0, 0, 1]]
    assert -sparring.robust_policy("matrix/rps", threat).lower == pytest.approx(0, abs=1e-12)
    with pytest.raises(InputError, match="unknown agent of matrix/rps 'raw': did you mean row"):
        sparring.exploitability("matrix/rps", "first", ThreatModel("raw", ("col",), {"col": "uniform"}, 0.5))  # pyright: ignore[reportArgumentType]  # wrong on purpose
    with pytest.raises(InputError, match="can only be simulated"):
        sparring.exploitability("gymnasium/CartPole-v1", "first", threat)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"control": "episode"}, "control=episode: exact answers are for control drawn at every step; use a sampled"),
        ({"control": "blend"}, "control=blend: exact answers are for control drawn at every step; use a sampled"),
        ({"coin": "team"}, "coin=team: exact answers are for a coin of each attacker's own; use a sampled oracle"),
        ({"victims": ("player0", "player1"), "attackers": "player2"}, "exact answers are for one victim, got 2"),
        ({"benign": dict.fromkeys(("player1", "player2", "me"), "uniform")}, "unknown agent of .* 'me': there are"),
        ({"attackers": "player1", "others": {"me": "first"}}, "unknown agent of .* 'me': there are"),
    ],
)
def test_a_threat_that_has_no_exact_answer_is_refused(asked: dict[str, Any], message: str) -> None:
    given = {"victims": "player0", "attackers": ("player1", "player2"), "budget": 0.5, **asked}
    threat = ThreatModel(**{"benign": dict.fromkeys(("player1", "player2"), "uniform"), **given})
    for question in (
        lambda: sparring.exploitability(f"{KUHN},players=3", "uniform", threat),
        lambda: sparring.best_response(f"{KUHN},players=3", "uniform", threat),
        lambda: sparring.robust_policy(f"{KUHN},players=3", threat),
    ):
        with pytest.raises(InputError, match=message):
            question()


def test_one_attacker_has_one_coin_however_it_is_called() -> None:
    """Kuhn poker against the uniform player of the second seat: 7/48 by the golden numbers' way."""
    threats = [ThreatModel("player0", "player1", {"player1": "uniform"}, 0.5, coin=coin) for coin in ("agent", "team")]
    values = [sparring.exploitability(KUHN, "uniform", threat) for threat in threats]
    assert values == pytest.approx([7 / 48] * 2)


def test_nobody_has_two_parts() -> None:
    for agent in ("row", "col"):
        with pytest.raises(InputError, match=f"others: {agent} is a victim or an attacker"):
            ThreatModel("row", "col", {"col": "uniform"}, 0.5, others={agent: "uniform"})
