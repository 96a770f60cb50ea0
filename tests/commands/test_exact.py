"""Seats, tables and exact answers of finite games, from the command line's words down to the solvers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring import cli
from sparring.commands import attack, evaluate
from sparring.commands.exact import adversarial_table, attacker_rows, contest, finite_game, rates, table
from sparring.errors import InputError
from sparring.games import make
from sparring.games.finite import finite, infosets
from sparring.loaders import tabular
from sparring.policy import CallablePolicy, ConstantPolicy, RandomPolicy, TabularPolicy
from sparring.types import Discrete

KUHN, THREE = "openspiel/kuhn_poker", "openspiel/kuhn_poker,players=3"


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(game: str, **more: Any) -> attack.Settings:
    return attack.Settings(game=game, victim="uniform", **more)


def skewed(rows: Any) -> np.ndarray:
    """The benign policy "skewed" of the golden numbers: the j-th legal action has weight j + 1."""
    weight = np.where(np.arange(rows.actions.shape[1]) < rows.count[:, None], np.arange(rows.actions.shape[1]) + 1, 0)
    return weight / weight.sum(axis=1, keepdims=True)


def test_plain_names_mean_legal_actions() -> None:
    game = finite_game("openspiel/leduc_poker", "test")
    uniform, first = table("uniform", game, "player0"), table("first", game, "player0")
    assert set(np.unique(uniform)) == {0.0, 1 / 3, 1 / 2}
    assert (first[:, 0] == 1).all() and first[:, 1:].sum() == 0
    np.testing.assert_array_equal(table("random", game, "player0"), uniform)


def test_a_policy_may_be_a_table_a_policy_or_an_array() -> None:
    game = finite_game("matrix/rps", "test")
    weights = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(table(weights, game, "row"), weights)
    np.testing.assert_array_equal(table(TabularPolicy(weights), game, "row"), weights)
    np.testing.assert_array_equal(table(ConstantPolicy(Discrete(3)), game, "row"), [[1, 0, 0]])
    with pytest.raises(InputError, match="not their probabilities"):
        table(CallablePolicy(lambda observation, rng: np.zeros(len(observation), int)), game, "row")
    with pytest.raises(InputError, match=r"policy .* of row: expected shape \[1, 3\], got \[1, 2\]"):
        table(np.array([[0.5, 0.5]]), game, "row")


def test_a_network_is_asked_at_every_information_set(tmp_path: Path) -> None:
    from sparring.nets import NetworkConfig, actor_critic

    game = finite_game(KUHN, "test")
    network = actor_critic(game.spaces["player0"], NetworkConfig(hidden=(8,)), np.zeros(2, np.uint32))
    found = table(network, game, "player0")
    assert found.shape == (6, 2) and (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=1e-15)
    result = sparring.evaluate(KUHN, victim=network, attacker="first")
    assert result["victim_value"] == pytest.approx(
        contest(game, settings(KUHN), 1.0).problem.value(found, table("first", game, "player1"))
    )


def test_a_team_is_a_table_with_rows_of_its_own(tmp_path: Path) -> None:
    game = finite_game(THREE, "test")
    arena = contest(game, settings(THREE, budget=0.7), 0.7)
    rows = attacker_rows(arena)
    assert len(set(rows.keys)) == len(rows.keys) == len(arena.problem.attacker_actions)
    best = arena.problem.best_response(table("uniform", game, "player0")).policy
    tabular.save(tmp_path / "team.json", rows, best)
    np.testing.assert_array_equal(adversarial_table("tabular:team.json", arena), best)
    # Each member's own policy is a team's policy too.
    first = adversarial_table("first", arena)
    assert (first[:, 0] == 1).all()
    assert rates(arena, table("uniform", game, "player0"), first)["attacker_value"] > -1


def test_the_rest_play_what_they_are_told() -> None:
    game = finite_game(THREE, "test")
    nu = table("uniform", game, "player0")
    values = []
    for others in ("uniform", "first"):
        arena = contest(game, settings(THREE, attackers=(2,), others=others), 0.5)
        assert arena.attackers == ("player2",)
        values.append(arena.problem.best_response(nu).value)
    assert values[0] != pytest.approx(values[1])


def test_attack_is_the_best_response_and_a_run_s_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """Kuhn, seat 1, skewed: .3678 is right; the eps = 1 best response mixed afterwards would give .3328."""
    game = finite(make(KUHN))
    assert game is not None
    tabular.save(Path("skewed.json"), infosets(game, "player0"), skewed(infosets(game, "player0")))
    words = ["attack", KUHN, "--victim", "uniform", "--benign", "tabular:skewed.json", "--victim-seat", "1"]
    assert cli.main([*words, "--budget", "0.3", "--out", "run", "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["expl"] == pytest.approx(0.36777777777777787, abs=1e-12)
    assert result["oracle"] == "exact" and result["victim_value"] == pytest.approx(-result["expl"])
    assert result["baseline"]["budget"] == 0
    assert "This is exact" in attack.text(result)
    again = ["evaluate", KUHN, "--victim", "uniform", "--attacker", "run:run", "--benign", "tabular:skewed.json"]
    assert cli.main([*again, "--victim-seat", "1", "--budget", "0.3", "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)["victim_value"] == pytest.approx(result["victim_value"], abs=1e-12)


def test_evaluate_is_exact_and_matches_agree_with_it() -> None:
    given = {"victim": "uniform", "attacker": "first", "budget": 0.6}
    exact = sparring.evaluate(KUHN, **given)
    assert exact["oracle"] == "exact" and exact["episodes"] == 0 and exact["win_ci"] == [exact["win"]] * 2
    assert exact["win"] + exact["draw"] + exact["loss"] == pytest.approx(1)
    assert "exact: win" in evaluate.text(exact)
    sampled = sparring.evaluate(KUHN, **given, oracle="sampled", episodes=1000)
    assert sampled["oracle"] == "sampled" and sampled["episodes"] == 1000
    # Five standard errors of 1000 matches, whose returns lie in [-2, 2].
    assert sampled["win"] == pytest.approx(exact["win"], abs=5 * 0.5 / 1000**0.5)
    assert sampled["victim_return"] == pytest.approx(exact["victim_value"], abs=5 * 2 / 1000**0.5)
    assert sampled["mean_length"] == pytest.approx(exact["mean_decisions"], abs=0.2)


def test_a_markov_game_from_a_file_has_values_but_no_winner(capsys: pytest.CaptureFixture[str]) -> None:
    from sparring.exact.markov_game import random_game, save

    save("game.npz", random_game(1, 3, 2, 2, 0.9, 2).game)
    words = ["evaluate", "markov/game.npz", "--victim", "uniform", "--attacker", "first", "--victim-seat", "1"]
    assert cli.main(words) == cli.DONE
    assert "no winner" in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == cli.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["win"] is result["win_ci"] is result["fail"] is result["mean_decisions"] is None
    assert result["victim_value"] < 0  # rewards in [0, 1] are the first agent's


def test_what_is_learned_is_compared_with_the_exact_optimum() -> None:
    words = {"steps": 256, "num_games": 8, "steps_per_round": 8, "episodes": 4}
    result = sparring.attack("matrix/rps", victim="first", oracle="learned", **words)
    assert result["oracle"] == "learned (lower bound)"
    assert result["exact"]["best_response_value"] == pytest.approx(-1)
    assert -1 <= result["exact"]["value"] <= 1
    assert "a best response reaches -1.000000" in attack.text(result)


def test_a_random_policy_means_the_legal_actions() -> None:
    """Late in liars dice few bids are left: an object `RandomPolicy` plays each of those alike, as the name does."""
    game = finite_game("openspiel/liars_dice,dice_sides=3", "test")
    played = table(RandomPolicy(game.spaces["player0"].action), game, "player0")
    np.testing.assert_array_equal(played, table("random", game, "player0"))
    rows = infosets(game, "player0")
    assert rows.count.min() < rows.count.max()
    for row, count in zip(played, rows.count, strict=True):
        assert row.tolist() == [1 / count] * count + [0.0] * (len(row) - count)


def test_a_policy_may_be_a_dictionary() -> None:
    game = finite_game(KUHN, "test")
    kept = {key: {"Pass": 0.25, 1: 0.75} for key in infosets(game, "player0").keys}
    np.testing.assert_array_equal(table(kept, game, "player0"), np.tile([0.25, 0.75], (6, 1)))
    with pytest.raises(InputError, match="policy of player0: it holds states of another player too, such as '0p' of"):
        table(kept | {"0p": {0: 1.0}}, game, "player0")
    with pytest.raises(InputError, match="policy of player0: information state '0': expected probabilities that sum"):
        table(kept | {"0": {0: 0.5}}, game, "player0")
    with pytest.raises(InputError, match=r"policy <object> of player0: expected a name, a Policy, .* got object"):
        table(object(), game, "player0")


def test_openspiel_s_policies_are_asked_at_every_information_set() -> None:
    import pyspiel
    from open_spiel.python import policy as theirs

    name = "goofspiel(imp_info=True,num_cards=3)"
    game = finite_game(f"openspiel/{name}", "test")
    rng = np.random.default_rng(0)
    turns = pyspiel.convert_to_turn_based(pyspiel.load_game(name))
    tabular_policy = theirs.TabularPolicy(turns)
    for row in tabular_policy.action_probability_array:
        row[row > 0] = rng.dirichlet(np.ones((row > 0).sum()))
    found, rows = table(tabular_policy, game, "player1"), infosets(game, "player1")
    for key, row, actions in zip(rows.keys, found, rows.actions, strict=True):
        theirs_row = tabular_policy.policy_for_key(key)
        np.testing.assert_allclose(row, [theirs_row[a] if a >= 0 else 0.0 for a in actions], atol=1e-15)
    with pytest.raises(InputError, match="it is for another game: openspiel/kuhn_poker has no state"):
        table(tabular_policy, finite_game(KUHN, "test"), "player0")
    with pytest.raises(InputError, match="OpenSpiel's policies are for openspiel/ games"):
        table(tabular_policy, finite_game("matrix/rps", "test"), "row")
