from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.problem import exploitability, fitting, legal, uniform
from sparring.exact.tree import TreeProblem, behaviour, plan, reach, tree_problem
from sparring.exact.tree_game import TERMINAL, Tree
from sparring.games.openspiel import compile_tree

GOLDENS = Path(__file__).parents[1] / "goldens"
KUHN, LEDUC = compile_tree("kuhn_poker"), compile_tree("leduc_poker")
KUHN3 = compile_tree("kuhn_poker(players=3)")


def skewed(actions: np.ndarray) -> np.ndarray:
    """The goldens' second benign policy: the j-th legal action with a probability proportional to j + 1."""
    weight = legal(actions) * np.arange(1, actions.max() + 1.0)
    return weight / weight.sum(axis=1, keepdims=True)


def first(actions: np.ndarray) -> np.ndarray:
    return np.eye(actions.max())[np.zeros(len(actions), int)]


POLICIES = {"uniform": uniform, "skewed": skewed, "first": first}


def random_policy(actions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    weight = legal(actions) * rng.exponential(size=(len(actions), actions.max()))
    return weight / weight.sum(axis=1, keepdims=True)


def two_player(tree: Tree, victim: int, benign: str, budget: float) -> TreeProblem:
    other = 1 - victim
    return tree_problem(tree, victim, (other,), {other: POLICIES[benign](tree.infosets[other].count)}, budget)


def by_hand(tree: Tree, tables: dict[int, np.ndarray], node: int = 0) -> np.ndarray:
    """Every player's expected return, by the definition."""
    if tree.actor[node] == TERMINAL:
        return tree.returns[node]
    player, begin = int(tree.actor[node]), int(tree.first_child[node])
    children = range(begin, begin + int(tree.count[node]))
    if player < 0:
        return sum((tree.chance[c] * by_hand(tree, tables, c) for c in children), np.zeros(tree.players))
    row = tables[player][tree.infoset[node]]
    return sum((row[c - begin] * by_hand(tree, tables, c) for c in children), np.zeros(tree.players))


@pytest.mark.parametrize(("tree", "file"), [(KUHN, "kuhn"), (LEDUC, "leduc_seat0")], ids=["kuhn", "leduc"])
def test_exploitability_agrees_with_the_certified_values(tree: Tree, file: str) -> None:
    """`goldens/*.json`: an independent implementation, cross-checked against OpenSpiel where that can answer."""
    golden = json.loads((GOLDENS / f"{file}.json").read_text())
    for case in golden["expl"]:
        problem = two_player(tree, case["victim_seat"], case["benign"], case["eps"])
        nu = POLICIES[case["victim"]](problem.victim_actions)
        assert exploitability(problem, nu) == pytest.approx(case["expl"], abs=1e-8), case


def test_the_typical_mistakes_are_told_apart() -> None:
    """DECISIONS 1 and 2: mixing once per episode, and mixing the best response of full control, are both wrong."""
    cases = json.loads((GOLDENS / "mistakes.json").read_text())
    wrong = set()
    for case in cases:
        problem = two_player(KUHN, case["seat"], case["benign"], case["eps"])
        nu = POLICIES[case["victim"]](problem.victim_actions)
        ours = exploitability(problem, nu)
        assert ours == pytest.approx(case["right_per_step"], abs=1e-8)
        full = replace(problem, budget=1.0)
        late = -problem.value(nu, full.best_response(nu).policy)
        assert late == pytest.approx(case["eps1_best_response_then_mixed"], abs=1e-8)
        episode = (1 - case["eps"]) * -replace(problem, budget=0.0).value(nu, problem.benign) + case[
            "eps"
        ] * exploitability(full, nu)
        assert episode == pytest.approx(case["per_episode_mixture"], abs=1e-8)
        for name in ("per_episode_mixture", "eps1_best_response_then_mixed"):
            if abs(ours - case[name]) > 1e-3:
                wrong.add(name)
    assert wrong == {"per_episode_mixture", "eps1_best_response_then_mixed"}


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(
    "name",
    [
        "kuhn_poker",
        "leduc_poker",
        "liars_dice(numdice=1,dice_sides=3)",
        "goofspiel(num_cards=4,imp_info=True,points_order=descending)",
    ],
)
def test_full_control_agrees_with_openspiel(name: str, victim: int) -> None:
    import pyspiel
    from open_spiel.python import policy as os_policy
    from open_spiel.python.algorithms import best_response, expected_game_score

    game = pyspiel.load_game(name)
    if game.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        game = pyspiel.convert_to_turn_based(game)
    tree = compile_tree(name)
    rng = np.random.default_rng(1)
    theirs = os_policy.TabularPolicy(game)
    tables = {player: random_policy(tree.infosets[player].count, rng) for player in range(2)}
    for player, table in tables.items():
        infosets = tree.infosets[player]
        for i, key in enumerate(infosets.keys):
            row = theirs.policy_for_key(key)
            row[:] = 0
            row[infosets.actions[i, : infosets.count[i]]] = table[i, : infosets.count[i]]
    problem = tree_problem(tree, victim, (1 - victim,), {}, 1.0)
    root = game.new_initial_state()
    value = expected_game_score.policy_value(root, [theirs, theirs])[victim]
    assert problem.value(tables[victim], tables[1 - victim]) == pytest.approx(value, abs=1e-12)
    response = best_response.BestResponsePolicy(game, 1 - victim, theirs)
    assert exploitability(problem, tables[victim]) == pytest.approx(response.value(root), abs=1e-12)
    assert problem.victim_response(tables[1 - victim]).value == pytest.approx(
        best_response.BestResponsePolicy(game, victim, theirs).value(root), abs=1e-12
    )


@pytest.mark.parametrize("direction", ["true", "counterfactual"])
def test_gradients_agree_with_finite_differences(direction: str) -> None:
    """The counterfactual gradient is the true one divided by the agent's own reach (DECISIONS 9)."""
    rng = np.random.default_rng(2)
    problem = replace(two_player(KUHN, 1, "skewed", 0.3), direction=direction)
    nu, alpha = random_policy(problem.victim_actions, rng), random_policy(problem.attacker_actions, rng)
    of_nu, of_alpha = problem.gradient(nu, alpha)
    own_nu = plan(problem.victim_sequences, nu)[problem.victim_sequences.parent]
    own_alpha = plan(problem.attacker_sequences, problem.played(alpha))[problem.attacker_sequences.parent]
    for i, j in np.argwhere(legal(problem.victim_actions)):
        up, down = nu.copy(), nu.copy()
        up[i, j] += 1e-5
        down[i, j] -= 1e-5
        slope = (problem.value(up, alpha) - problem.value(down, alpha)) / 2e-5
        assert of_nu[i, j] * (own_nu[i] if direction == "counterfactual" else 1) == pytest.approx(slope, abs=1e-9)
    for i, j in np.argwhere(legal(problem.attacker_actions)):
        up, down = alpha.copy(), alpha.copy()
        up[i, j] += 1e-5
        down[i, j] -= 1e-5
        slope = (problem.value(nu, up) - problem.value(nu, down)) / 2e-5
        assert of_alpha[i, j] * (own_alpha[i] if direction == "counterfactual" else 1) == pytest.approx(slope, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 1))
def test_no_attack_beats_the_best_response(seed: int, budget: float, victim: int) -> None:
    rng = np.random.default_rng(seed)
    problem = two_player(KUHN, victim, "skewed", budget)
    nu = random_policy(problem.victim_actions, rng)
    response = problem.best_response(nu)
    assert problem.value(nu, response.policy) == pytest.approx(response.value, abs=1e-12)
    for _ in range(5):
        alpha = random_policy(problem.attacker_actions, rng)
        assert problem.value(nu, alpha) >= response.value - 1e-12
        assert problem.value(nu, alpha) <= problem.victim_response(alpha).value + 1e-12


def test_values_and_reaches_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    tables = {player: random_policy(KUHN3.infosets[player].count, rng) for player in range(3)}
    problem = tree_problem(KUHN3, 1, (2,), {2: tables[2]}, 0.4, fixed={0: tables[0]})
    alpha = random_policy(problem.attacker_actions, rng)
    expected = by_hand(KUHN3, {**tables, 2: problem.played(alpha)})[1]
    assert problem.value(tables[1], alpha) == pytest.approx(expected, abs=1e-12)
    reached = reach(problem, tables[1], alpha)
    leaves = KUHN3.actor == TERMINAL
    assert reached[leaves].sum() == pytest.approx(1)
    assert reached[leaves] @ KUHN3.returns[leaves, 1] == pytest.approx(expected, abs=1e-12)


def test_a_team_is_at_least_as_strong_as_its_members() -> None:
    """Two attackers who share what they see: no worse for them than either alone, or than both without sharing."""
    rng = np.random.default_rng(4)
    nu = random_policy(KUHN3.infosets[0].count, rng)
    team = tree_problem(KUHN3, 0, (1, 2), {}, 1.0)
    together = exploitability(team, nu)
    alone = [exploitability(tree_problem(KUHN3, 0, (player,), {}, 1.0), nu) for player in (1, 2)]
    assert together >= max(alone) - 1e-12
    for _ in range(20):
        tables = {player: random_policy(KUHN3.infosets[player].count, rng) for player in (1, 2)}
        assert -by_hand(KUHN3, {0: nu, **tables})[0] <= together + 1e-12
    benign = {player: skewed(KUHN3.infosets[player].count) for player in (1, 2)}
    none = tree_problem(KUHN3, 0, (1, 2), benign, 0.0)
    assert -exploitability(none, nu) == pytest.approx(by_hand(KUHN3, {0: nu, **benign})[0], abs=1e-12)


def test_averages_are_of_realisation_plans() -> None:
    """Whoever draws one of several policies for a whole match earns the mean of their values (DECISIONS 4)."""
    rng = np.random.default_rng(5)
    problem = two_player(LEDUC, 0, "uniform", 0.7)
    policies = [random_policy(problem.victim_actions, rng) for _ in range(3)]
    weights = np.array([1.0, 2.0, 5.0])
    alpha = random_policy(problem.attacker_actions, rng)
    mean = np.average([problem.value(nu, alpha) for nu in policies], weights=weights)
    assert problem.value(problem.average(policies, weights), alpha) == pytest.approx(mean, abs=1e-12)
    by_rows = np.average(policies, axis=0, weights=weights)
    assert abs(problem.value(by_rows, alpha) - mean) > 1e-3


def test_behaviour_inverts_plans() -> None:
    problem = two_player(LEDUC, 0, "uniform", 0.7)
    nu = random_policy(problem.victim_actions, np.random.default_rng(6))
    own = problem.victim_sequences
    np.testing.assert_allclose(behaviour(own, plan(own, nu)), nu, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 1.2}, "budget: expected a probability"),
        ({"attackers": (0,)}, "expected a victim and at least one other player"),
        ({"attackers": ()}, "expected a victim and at least one other player"),
        ({"attackers": (2,)}, "expected a victim and at least one other player"),
        ({"benign": {1: np.ones((6, 2))}}, "policy of player 1.*sum to 1"),
        ({"benign": {1: np.ones((5, 2)) / 2}}, "policy of player 1: expected shape"),
        ({"direction": "sideways"}, "unknown direction"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change: dict, message: str) -> None:
    arguments = {"victim": 0, "attackers": (1,), "benign": {}, "budget": 0.5} | change
    with pytest.raises(InputError, match=message) as error:
        tree_problem(KUHN, **arguments)
    assert "\n" not in str(error.value)


def test_probability_on_an_illegal_action_is_refused() -> None:
    problem = two_player(LEDUC, 0, "uniform", 0.5)
    nu = np.full((468, 3), 1 / 3)
    with pytest.raises(InputError, match="no probability on illegal actions"):
        fitting(nu, problem.victim_actions, "nu")


def test_imperfect_recall_is_refused() -> None:
    """Kuhn poker in which seat 0 forgets whether it has passed: its two sets with the same card become one."""
    infosets = KUHN.infosets[0]
    cards = {card: [i for i, key in enumerate(infosets.keys) if key.startswith(card)] for card in "012"}
    infoset = KUHN.infoset.copy()
    for same in cards.values():
        infoset[(KUHN.actor == 0) & (infoset == same[1])] = same[0]
    with pytest.raises(InputError, match="imperfect recall"):
        tree_problem(replace(KUHN, infoset=infoset), 0, (1,), {}, 1.0)
