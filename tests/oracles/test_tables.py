"""Policies as tables: what exact answers read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring.commands.evaluate import Settings
from sparring.errors import InputError
from sparring.games import make
from sparring.games.finite import finite
from sparring.loaders import tabular
from sparring.oracles.exact import ExactOracle, exact_oracle
from sparring.oracles.seating import ask
from sparring.oracles.tables import attacker_rows, table
from sparring.policies import CallablePolicy, ConstantPolicy, TabularPolicy
from sparring.types import Discrete

KUHN, THREE = "openspiel/kuhn_poker", "openspiel/kuhn_poker,players=3"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finite_game(name: str) -> Any:
    found = finite(make(name))
    assert found is not None
    return found


def oracle(game: str, **more: Any) -> ExactOracle:
    return exact_oracle(ask(Settings(game=game, victim="uniform", attacker="first", **more), "uniform"))


def test_plain_names_mean_legal_actions() -> None:
    game = finite_game("openspiel/leduc_poker")
    uniform, first = table("uniform", game, "player0"), table("first", game, "player0")
    assert set(np.unique(uniform)) == {0.0, 1 / 3, 1 / 2}
    assert (first[:, 0] == 1).all() and first[:, 1:].sum() == 0
    np.testing.assert_array_equal(table("random", game, "player0"), uniform)


def test_a_policy_may_be_a_table_a_policy_an_array_or_a_dictionary() -> None:
    game = finite_game("matrix/rps")
    weights = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(table(weights, game, "row"), weights)
    np.testing.assert_array_equal(table(TabularPolicy(weights), game, "row"), weights)
    np.testing.assert_array_equal(table({0: {0: 0.2, 1: 0.3, "2": 0.5}}, game, "row"), weights)
    np.testing.assert_array_equal(table(ConstantPolicy(Discrete(3)), game, "row"), [[1, 0, 0]])
    with pytest.raises(InputError, match="not their probabilities"):
        table(CallablePolicy(lambda observation, rng: np.zeros(len(observation), int)), game, "row")
    with pytest.raises(InputError, match=r"policy of row: expected shape \[1, 3\], got \[1, 2\]"):
        table(np.array([[0.5, 0.5]]), game, "row")
    with pytest.raises(InputError, match="sum to 1"):
        table({"0": {"0": 0.5}}, game, "row")


def test_a_network_is_asked_at_every_information_set() -> None:
    from sparring.nets import NetworkConfig, actor_critic

    game = finite_game(KUHN)
    network = actor_critic(game.spaces["player0"], NetworkConfig(hidden=(8,)), np.zeros(2, np.uint32))
    found = table(network, game, "player0")
    assert found.shape == (6, 2) and (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=1e-15)
    result = sparring.evaluate(KUHN, victim=network, attacker="first")
    expected = oracle(KUHN).base.value(found, table("first", game, "player1"))
    assert result["victim_value"] == pytest.approx(expected)


def test_a_team_is_a_table_with_rows_of_its_own() -> None:
    asked = oracle(THREE)
    problem, game, attackers = asked.problem(0.7), asked.game, asked.question.threat.attackers
    rows = attacker_rows(game, attackers, problem)
    assert len(set(rows.keys)) == len(rows.keys) == len(problem.attacker_actions)
    best = problem.best_response(table("uniform", game, "player0")).policy
    tabular.save("team.json", rows, best)
    np.testing.assert_array_equal(asked.adversarial("tabular:team.json"), best)
    # Each member's own policy is a team's policy too, given once or for each of them.
    first = asked.adversarial("first")
    assert (first[:, 0] == 1).all()
    np.testing.assert_array_equal(asked.adversarial({"player1": "first", "player2": "first"}), first)
    with pytest.raises(InputError, match="policy for player2, too"):
        asked.adversarial({"player1": "first"})


def test_the_rest_play_what_they_are_told() -> None:
    values = []
    for others in ("uniform", "first"):
        asked = oracle(THREE, attackers=("2",), others=others)
        assert asked.question.threat.attackers == ("player2",)
        values.append(asked.problem(0.5).best_response(asked.nu).value)
    assert values[0] != pytest.approx(values[1])
