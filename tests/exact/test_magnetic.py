from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.exact.dynamics import Iterate, magnetic, power
from sparring.exact.magnetic import mirror_step
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem, Problem, exploitability, uniform
from sparring.exact.robust import robust
from sparring.exact.tree import Sequences, TreeProblem, plan, tree_problem
from sparring.exact.tree_game import Tree
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, as_markov
from sparring.games.openspiel import compile_tree

KUHN = compile_tree("kuhn_poker")


def start_of(problem: Problem) -> Iterate:
    return Iterate(uniform(problem.victim_actions), uniform(problem.attacker_actions))


def after(problem: Problem, updates: int, eta: float, tau: float, start: Iterate | None = None) -> Iterate:
    method = magnetic(problem, start or start_of(problem), power(eta), power(tau))
    return next(islice(method, updates, None))


def skewed(problem: TreeProblem) -> np.ndarray:
    weight = uniform(problem.attacker_actions) * np.arange(1, problem.attacker_sequences.width + 1.0)
    return weight / weight.sum(axis=1, keepdims=True)


def openspiel_policy(game: Any, tree: Tree, tables: dict[int, np.ndarray]) -> Any:
    from open_spiel.python import policy

    theirs = policy.TabularPolicy(game)
    for player, table in tables.items():
        infosets = tree.infosets[player]
        for i, key in enumerate(infosets.keys):
            theirs.policy_for_key(key)[infosets.actions[i, : infosets.count[i]]] = table[i, : infosets.count[i]]
    return theirs


def table_of(theirs: Any, tree: Tree, player: int) -> np.ndarray:
    """The rows of one player in OpenSpiel's policy."""
    infosets = tree.infosets[player]
    table = np.zeros(infosets.actions.shape)
    for i, key in enumerate(infosets.keys):
        count = infosets.count[i]
        table[i, :count] = np.asarray(theirs.policy_for_key(key))[infosets.actions[i, :count]]
    return table


@pytest.mark.parametrize(
    ("name", "victim", "updates", "eta", "tau"),
    [
        ("kuhn_poker", 0, 30, 0.5, 0.1),
        ("kuhn_poker", 1, 30, 2.0, 0.02),
        pytest.param("leduc_poker", 0, 6, 0.5, 0.1, marks=pytest.mark.long),
    ],
)
def test_at_full_control_the_iterates_are_those_of_openspiel(
    name: str, victim: int, updates: int, eta: float, tau: float
) -> None:
    """`mmd_dilated` is an independent implementation, by dilated entropy in sequence form as well."""
    import pyspiel
    from open_spiel.python.algorithms import mmd_dilated, sequence_form_utils

    game, tree = pyspiel.load_game(name), compile_tree(name)
    problem = tree_problem(tree, victim, (1 - victim,), {}, 1.0)
    theirs = mmd_dilated.MMDDilatedEnt(game, alpha=tau, stepsize=eta)
    ours = list(islice(magnetic(problem, start_of(problem), power(eta), power(tau)), updates + 1))
    gaps = [theirs.get_gap()]
    for iterate in ours[1:]:
        theirs.update_sequences()
        policies = theirs.get_policies()
        np.testing.assert_allclose(iterate.nu, table_of(policies, tree, victim), rtol=0, atol=1e-9)
        np.testing.assert_allclose(iterate.alpha, table_of(policies, tree, 1 - victim), rtol=0, atol=1e-9)
    gaps.append(theirs.get_gap())
    assert 0 < gaps[1] < gaps[0]
    # Its gap of the regularised game is the same at our last iterate.
    last = openspiel_policy(game, tree, {victim: ours[-1].nu, 1 - victim: ours[-1].alpha})
    theirs.sequences = sequence_form_utils.policy_to_sequence(game, last, theirs.infoset_actions_to_seq)
    assert theirs.get_gap() == pytest.approx(gaps[1], abs=1e-9)


@pytest.mark.parametrize("budget", [0.5, 1.0])
def test_one_step_by_hand(budget: float) -> None:
    # Matching pennies, nu = (.6, .4), alpha = (.7, .3), benign (.5, .5). Odds are multiplied by exp(eta times the
    # difference of the gradients), and 1 / (1 + eta tau) is the power of all.
    problem = MarkovProblem(as_markov(MATCHING_PENNIES), np.array([[0.5, 0.5]]), budget)
    nu, alpha = mirror_step(problem, np.array([[0.6, 0.4]]), np.array([[0.7, 0.3]]), eta=0.1, tau=0.5)
    # What is played is (.5 + .2 budget, .5 - .2 budget): grad nu = (.4, -.4) budget; grad alpha = (.2, -.2) budget.
    odds = (1.5 * np.exp(0.1 * 0.8 * budget)) ** (1 / 1.05)
    assert nu[0] == pytest.approx([odds / (1 + odds), 1 / (1 + odds)], abs=1e-14)
    odds = (7 / 3 * np.exp(-0.1 * 0.4 * budget)) ** (1 / 1.05)
    assert alpha[0] == pytest.approx([odds / (1 + odds), 1 / (1 + odds)], abs=1e-14)


@pytest.mark.parametrize("payoffs", [MATCHING_PENNIES, ROCK_PAPER_SCISSORS], ids=["pennies", "rps"])
def test_symmetric_games_lead_to_uniform_play(payoffs: np.ndarray) -> None:
    """The game's equilibrium and the magnet are the same policy there: no temperature bends it."""
    actions = len(payoffs)
    problem = MarkovProblem(as_markov(payoffs), np.full((1, actions), 1 / actions), 1.0)
    weight = np.arange(1.0, actions + 1)[None]
    start = Iterate(weight / weight.sum(), weight[:, ::-1] / weight.sum())
    # The largest payoff is 1, so any eta of at most tau converges by (1 + eta tau)^-t.
    reached = after(problem, 400, 0.5, 0.5, start)
    np.testing.assert_allclose(reached.nu, 1 / actions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reached.alpha, 1 / actions, rtol=0, atol=1e-12)
    assert exploitability(problem, reached.nu) < 1e-12


@pytest.mark.slow
@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0.2, 2.0))
@settings(max_examples=20, deadline=None)
def test_matrix_games_converge_to_the_regularised_equilibrium(seed: int, budget: float, tau: float) -> None:
    """There nu is proportional to exp(P played / tau), alpha to exp(-eps nu P / tau)."""
    rng = np.random.default_rng(seed)
    payoffs, benign = rng.uniform(-1, 1, size=(3, 4)), rng.dirichlet(np.ones(4))
    problem = MarkovProblem(as_markov(payoffs), benign[None], budget)
    start = Iterate(rng.dirichlet(np.ones(3))[None], rng.dirichlet(np.ones(4))[None])
    reached = after(problem, 1000, tau, tau, start)  # (1 + .2 .2)^-1000 is below 1e-17
    ascents = payoffs @ problem.played(reached.alpha)[0], -budget * reached.nu[0] @ payoffs
    for policy, ascent in zip((reached.nu, reached.alpha), ascents, strict=True):
        weight = np.exp((ascent - ascent.max()) / tau)
        np.testing.assert_allclose(policy[0], weight / weight.sum(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("budget", [0.4, 1.0])
def test_markov_games_stand_still_where_entropy_balances_the_gradient(budget: float) -> None:
    drawn = random_game(2, S=3, A=3, B=2, gamma=0.8, k=2)
    problem = MarkovProblem(drawn.game, drawn.benign, budget)
    reached, tau = after(problem, 2000, 0.1, 0.5), 0.5
    up, down = problem.gradient(reached.nu, reached.alpha)
    for policy, ascent in ((reached.nu, up), (reached.alpha, -down)):
        weight = np.exp((ascent - ascent.max(axis=1, keepdims=True)) / tau)
        np.testing.assert_allclose(policy, weight / weight.sum(axis=1, keepdims=True), rtol=0, atol=1e-9)


def dilated(own: Sequences, played: np.ndarray, policy: np.ndarray) -> float:
    """The dilated entropy by its definition: the entropy of each set's row times the reach of the set."""
    terms = policy * np.log(policy, out=np.zeros_like(policy), where=policy > 0)
    return -float(plan(own, played)[own.parent] @ terms.sum(axis=1))


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("budget", [0.3, 0.7, 1.0])
def test_trees_converge_to_the_regularised_equilibrium(victim: int, budget: float) -> None:
    """No deviation of one side, small or large, gains anything in J + tau H(nu) - tau H(alpha)."""
    problem = tree_problem(KUHN, victim, (1 - victim,), {}, budget)
    problem = tree_problem(KUHN, victim, (1 - victim,), {1 - victim: skewed(problem)}, budget)
    tau, rng = 0.2, np.random.default_rng(5)
    reached = after(problem, 600, 0.5, tau)
    # A fixed point first.
    for moved, policy in zip(mirror_step(problem, *reached[:2], 0.5, tau), reached[:2], strict=True):
        np.testing.assert_allclose(moved, policy, rtol=0, atol=1e-12)

    def regularised(nu: np.ndarray, alpha: np.ndarray) -> float:
        of_nu = dilated(problem.victim_sequences, nu, nu)
        of_alpha = dilated(problem.attacker_sequences, problem.played(alpha), alpha)
        return problem.value(nu, alpha) + tau * (of_nu - of_alpha)

    value = regularised(reached.nu, reached.alpha)
    for share in (1e-4, 1e-2, 1.0):
        for _ in range(40):
            nu = (1 - share) * reached.nu + share * rng.dirichlet(np.ones(2), size=len(reached.nu))
            alpha = (1 - share) * reached.alpha + share * rng.dirichlet(np.ones(2), size=len(reached.alpha))
            assert regularised(nu, reached.alpha) <= value + 1e-12
            assert regularised(reached.nu, alpha) >= value - 1e-12


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("budget", [0.3, 0.7, 1.0])
def test_annealed_the_last_iterate_nears_the_optimum(victim: int, budget: float) -> None:
    problem = tree_problem(KUHN, victim, (1 - victim,), {}, budget)
    optimum = -robust(problem).lower
    method = magnetic(problem, start_of(problem), power(1.0), power(1.0, 0.75))
    gaps = [exploitability(problem, iterate.nu) - optimum for iterate in islice(method, 2001)]
    assert min(gaps) > -1e-12
    assert gaps[2000] < 0.005
    assert gaps[2000] < gaps[200] < gaps[0]
    # At a constant temperature it stays where that has bent it.
    constant = after(problem, 2000, 1.0, 0.1)
    assert exploitability(problem, constant.nu) - optimum > gaps[2000]


def test_what_has_no_probability_gets_none() -> None:
    problem = tree_problem(KUHN, 0, (1,), {}, 0.7)
    first = np.eye(2)[np.zeros(len(problem.victim_actions), int)]
    reached = after(problem, 5, 0.5, 0.1, Iterate(first, uniform(problem.attacker_actions)))
    np.testing.assert_array_equal(reached.nu, first)
    assert np.isfinite(reached.alpha).all()
