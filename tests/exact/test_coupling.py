"""The coupling certificate in finite games: never above the truth, and equal to it where the attack is the worst."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaving_games import ALONE, LEAVE, chances_to_leave, leaving
from markov_games import games
from sklearn.metrics import roc_auc_score

from sparring.exact import markov
from sparring.exact.coupling import coupling
from sparring.exact.markov_game import RandomGame
from sparring.exact.problem import MarkovProblem, legal, uniform
from sparring.exact.tree import TreeProblem, reach, tree_problem
from sparring.exact.tree_game import TERMINAL, Tree, outcomes
from sparring.games.matrix import ROCK_PAPER_SCISSORS, as_markov
from sparring.games.openspiel import compile_tree
from sparring.metrics.coupling import auc_upper, certified_budget

TREES = {
    name: compile_tree(name)
    for name in ("kuhn_poker", "kuhn_poker(players=3)", "leduc_poker", "tiny_hanabi", "liars_dice(dice_sides=2)")
}
seeds, budgets = st.integers(0, 2**32 - 1), st.floats(0, 1)


def random_policy(rng: np.random.Generator, count: np.ndarray) -> np.ndarray:
    """Some rows are nearly deterministic, some are nearly uniform."""
    table = rng.gamma(rng.choice([0.1, 1.0], (len(count), 1)), size=(len(count), count.max())) * legal(count) + 1e-12
    table = table * legal(count)
    return table / table.sum(axis=1, keepdims=True)


def drawn(tree: Tree, seed: int) -> tuple[TreeProblem, np.ndarray]:
    """A victim, attackers (all the others, or one of them), and policies of everybody."""
    rng = np.random.default_rng(seed)
    players = rng.permutation(tree.players)
    victim, attackers = int(players[0]), tuple(int(p) for p in players[1 : rng.integers(2, tree.players + 1)])
    tables = {p: random_policy(rng, tree.infosets[p].count) for p in range(tree.players)}
    fixed = {p: tables[p] for p in range(tree.players) if p not in (victim, *attackers)}
    benign = {p: tables[p] for p in attackers}
    problem = tree_problem(tree, victim, attackers, benign, 1.0, fixed)
    return problem, tables[victim]


def counted(problem: TreeProblem, worth: np.ndarray) -> TreeProblem:
    """The same problem where a match pays the victim what `worth` [leaves] says."""
    tree = problem.tree
    returns = np.zeros_like(tree.returns)
    returns[tree.actor == TERMINAL, problem.victim] = worth
    benign = {
        p: problem.benign[problem.attacker_rows[:, 0] == p][:, : tree.infosets[p].actions.shape[1]]
        for p in problem.attackers
    }
    return tree_problem(replace(tree, returns=returns), problem.victim, problem.attackers, benign, problem.budget, {})


@pytest.mark.parametrize("name", TREES)
@settings(max_examples=8, deadline=None)
@given(seeds, budgets)
def test_no_attack_on_a_tree_is_worse_than_the_certificate(name: str, seed: int, eps: float) -> None:
    problem, nu = drawn(TREES[name], seed)
    certain, limits = coupling(problem, nu)
    attacked = replace(problem, budget=eps)
    assert certain.value is not None
    low, worst = float(certain.value(eps)), attacked.best_response(nu).value
    assert limits.low - 1e-9 <= low <= worst + 1e-9
    # Without an attack nothing is lost.
    assert float(certain.value(0.0)) == pytest.approx(replace(problem, budget=0.0).value(nu, problem.benign), abs=1e-9)


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker", "tiny_hanabi"])
@settings(max_examples=6, deadline=None)
@given(seeds, budgets)
def test_no_attack_wins_more_often_or_shows_more_than_the_certificate(name: str, seed: int, eps: float) -> None:
    """The best attack for each number by itself: the game that pays for it."""
    problem, nu = drawn(TREES[name], seed)
    tree, (certain, _) = problem.tree, coupling(problem, nu)
    leaves = tree.actor == TERMINAL
    ends = outcomes(tree.returns[leaves])
    won = (ends[:, list(problem.attackers)].max(axis=1) == 1) & (ends[:, problem.victim] != 1)
    for curve, good in ((certain.not_won, ~won), (certain.non_fail, ends[:, problem.victim] != -1)):
        worst = replace(counted(problem, good.astype(float)), budget=eps).best_response(nu).value
        assert curve is not None and float(curve(eps)) <= worst + 1e-9
    # Whole matches: of any adversarial policy, and the area under the best detector's curve.
    attacked = replace(problem, budget=eps)
    rng = np.random.default_rng(seed)
    alpha = random_policy(rng, problem.attacker_actions)
    benign, other = (reach(attacked, nu, policy)[leaves] for policy in (problem.benign, alpha))
    apart = np.abs(benign - other).sum() / 2
    bound = 1 - float(certain.same(eps))
    assert apart <= bound + 1e-9
    seen = np.flatnonzero(benign + other > 0)
    score = other[seen] / (benign[seen] + other[seen])
    labels = np.repeat([0, 1], len(seen))
    auc = roc_auc_score(labels, np.tile(score, 2), sample_weight=np.concatenate([benign[seen], other[seen]]) + 1e-300)
    assert auc <= float(auc_upper(bound)) + 1e-9


@settings(max_examples=40, deadline=None)
@given(games, budgets, seeds)
def test_no_attack_on_a_markov_game_is_worse_than_the_certificate(random: RandomGame, eps: float, seed: int) -> None:
    rng, game = np.random.default_rng(seed), random.game
    states, victims, attackers = game.r.shape
    nu, benign = (random_policy(rng, np.full(states, n)) for n in (victims, attackers))
    problem = MarkovProblem(game, benign, eps)
    certain, limits = coupling(problem, nu)
    assert certain.value is not None
    low, worst = float(certain.value(eps)), problem.best_response(nu).value
    tolerance = 1e-9 * (limits.high - limits.low + 1)
    assert limits.low - tolerance <= low <= worst + tolerance
    assert float(certain.value(0.0)) == pytest.approx(markov.expected_value(game, nu, benign))
    # Def. 2.1's states, of any adversarial policy.
    alpha = random_policy(rng, np.full(states, attackers))
    seen = [markov.visitation(game, nu, played) for played in (benign, problem.played(alpha))]
    assert np.abs(seen[0] - seen[1]).sum() / 2 <= 1 - float(certain.same(eps)) + 1e-9


@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("eps", [0.0, 0.01, 0.4, 1.0])
def test_it_is_the_truth_where_leaving_once_loses_all(gamma: float, eps: float) -> None:
    """sum_t gamma^t (1 - eps)^(t + 1), by hand, is what is left of 1 / (1 - gamma)."""
    problem = leaving(gamma, eps)
    certain, _ = coupling(problem, ALONE)
    assert certain.value is not None
    assert float(certain.value(eps)) == pytest.approx((1 - eps) / (1 - gamma * (1 - eps)), rel=1e-12)
    assert float(certain.value(eps)) == pytest.approx(problem.value(ALONE, LEAVE), rel=1e-9)
    assert problem.best_response(ALONE).value == pytest.approx(float(certain.value(eps)), rel=1e-9)


@pytest.mark.parametrize("eps", [0.0, 0.03, 0.5, 1.0])
def test_it_is_the_truth_in_a_tree_where_leaving_once_loses_all(eps: float) -> None:
    """Five chances to leave: (1 - eps)^5 of what the victim is paid, and of the matches as they were."""
    tree = chances_to_leave(5)
    stay = {1: np.tile([1.0, 0.0], (5, 1))}
    problem = tree_problem(tree, 0, (1,), stay, eps)
    certain, _ = coupling(problem, np.ones((1, 1)))
    for curve in certain:
        assert curve is not None and float(curve(eps)) == pytest.approx((1 - eps) ** 5, rel=1e-12)
    assert problem.best_response(np.ones((1, 1))).value == pytest.approx((1 - eps) ** 5, rel=1e-9, abs=1e-12)
    budget = certified_budget(certain.same, 0.5)
    assert budget == pytest.approx(1 - 0.5 ** (1 / 5), abs=1e-12)


def test_a_decision_without_a_choice_is_no_coin() -> None:
    """The attacker's agent has one action: nobody can do anything through it."""
    tree = chances_to_leave(2)
    only = replace(tree.infosets[1], count=np.array([1, 2]), actions=np.array([[0, -1], [0, 1]]))
    # Node 1's second child is gone: the tree is cut to one way on from there.
    cut: dict[str, Any] = {
        "actor": np.array([0, 1, 1, TERMINAL, TERMINAL], np.int8),
        "parent": np.array([-1, 0, 1, 2, 2]),
        "first_child": np.array([1, 2, 3, -1, -1]),
        "count": np.array([1, 1, 2, 0, 0]),
        "infoset": np.array([0, 0, 1, -1, -1]),
        "chance": np.ones(5),
        "level": np.array([0, 1, 2, 3, 5]),
        "returns": np.array([[0, 0], [0, 0], [0, 0], [1, -1], [0, 0]], float),
    }
    small = replace(tree, **cut, infosets=(tree.infosets[0], only))
    problem = tree_problem(small, 0, (1,), {1: np.array([[1.0, 0.0], [1.0, 0.0]])}, 0.3)
    certain, _ = coupling(problem, np.ones((1, 1)))
    assert float(certain.same(0.3)) == pytest.approx(0.7)
    assert problem.best_response(np.ones((1, 1))).value == pytest.approx(0.7)


def test_a_matrix_game_is_one_decision() -> None:
    """Rock-paper-scissors, both uniform: a third of the matches is lost, at budget eps at most 1/3 + 2/3 eps."""
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), np.full((1, 3), 1 / 3), 0.3)
    nu = uniform(problem.victim_actions)
    certain, limits = coupling(problem, nu)
    assert limits == (-1.0, 1.0)
    assert certain.not_won is not None and certain.value is not None
    assert 1 - float(certain.not_won(0.3)) == pytest.approx(1 / 3 + 0.3 * 2 / 3)
    assert float(certain.value(0.3)) == pytest.approx(-0.3)
    assert float(certain.same(0.3)) == pytest.approx(0.7)
