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
