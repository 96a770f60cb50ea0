from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaving_games import ALONE, LEAVE, chances_to_leave, leaving
from markov_games import games
from scipy.optimize import minimize

from sparring.exact.bounds import (
    Bound,
    bounds,
    gradient_bounds,
    most_decisions,
    transition_divergences,
    value_bound,
    visitation_bound,
)
from sparring.exact.markov_game import MarkovGame, RandomGame, random_game
from sparring.exact.problem import MarkovProblem, legal, uniform
from sparring.exact.tree import TreeProblem, tree_problem
from sparring.games.openspiel import compile_tree

budgets = st.floats(0, 1)


def check(found: list[Bound]) -> None:
    for bound in found:
        tolerance = 1e-9 * max(1.0, bound.true)
        sharp = bound.paper if bound.sharp is None else bound.sharp
        assert bound.true <= sharp + tolerance, bound
        assert sharp <= bound.paper + tolerance, bound
        assert bound.true <= bound.trivial + tolerance, bound
        assert bound.slack >= -tolerance


@settings(max_examples=40)
@given(games, budgets, st.booleans())
def test_no_bound_is_violated(drawn: RandomGame, eps: float, pure: bool) -> None:
    game, benign, nu, alpha = drawn
    if pure:
        benign = np.eye(benign.shape[1])[benign.argmax(axis=1)]  # KL and chi^2 become infinite
    problem = MarkovProblem(replace(game, r=5 * game.r - 2), benign, eps)
    for adversary in (alpha, problem.best_response(nu).policy):
        check(bounds(problem, nu, adversary))
        for seen, done in transition_divergences(problem, adversary).values():
            assert (seen <= done + 1e-10).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("eps", [0.0, 0.1, 0.7, 1.0])
def test_the_sharp_constants_are_attained(gamma: float, eps: float) -> None:
    """DECISIONS 12. Never having left before t has the probability (1 - eps)^t, and leaving costs 1 from then on."""
    problem = leaving(gamma, eps)
    value, states = value_bound(problem, ALONE, LEAVE), visitation_bound(problem, ALONE, LEAVE)
    assert value.true == pytest.approx(1 / (1 - gamma) - (1 - eps) / (1 - gamma * (1 - eps)), abs=1e-12)
    assert value.sharp == pytest.approx(value.true, abs=1e-12)
    assert states.true == pytest.approx(2 - 2 * (1 - gamma) / (1 - gamma * (1 - eps)), abs=1e-12)
    assert states.sharp == pytest.approx(states.true, abs=1e-12)


def test_bounds_are_in_the_game_s_own_units() -> None:
    """Rewards 3 and 7 instead of 0 and 1: everything that has the unit of a reward is four times as large."""
    one, four = (bounds(leaving(0.9, 0.2, reward), ALONE, LEAVE) for reward in ((0.0, 1.0), (3.0, 7.0)))
    for small, large in zip(one, four, strict=True):
        factor = 1 if small.name.startswith(("Proposition 3.2", "Proposition 3.3")) else 4
        for name in ("true", "paper", "sharp", "trivial"):
            if getattr(small, name) is not None:
                assert getattr(large, name) == pytest.approx(factor * getattr(small, name), rel=1e-12), (small, name)


def test_vacuous_is_what_says_no_more_than_what_holds_anyway() -> None:
    # gamma = 0.5: the paper's 2 eps / 0.25 reaches 1 / 0.5 at eps = 0.25; its 2 eps reaches 2 at eps = 1.
    for eps, value, states in ((0.24, False, False), (0.26, True, False), (1.0, True, True)):
        problem = leaving(0.5, eps)
        assert value_bound(problem, ALONE, LEAVE).vacuous == value
        assert visitation_bound(problem, ALONE, LEAVE).vacuous == states


@given(st.integers(0, 2**32), budgets)
def test_a_next_state_that_gives_the_action_away_attains_proposition_3_3(seed: int, eps: float) -> None:
    game, benign, _, alpha = random_game(seed, 3, 2, 3, 0.5, 1)
    telling = np.broadcast_to(np.eye(3), game.P.shape)
    problem = MarkovProblem(replace(game, P=telling), benign, eps)
    for seen, done in transition_divergences(problem, alpha).values():
        np.testing.assert_allclose(seen, np.broadcast_to(done, seen.shape), rtol=1e-9, atol=1e-14)


def test_an_adversary_that_leaves_the_benign_support_has_infinite_kl() -> None:
    problem = leaving(0.5, 0.3)
    found = {bound.name: bound for bound in bounds(problem, ALONE, LEAVE)}
    for name in ("KL", "chi^2"):
        bound = found[f"Proposition 3.3 ({name})"]
        assert bound.true == bound.paper == bound.slack == math.inf
        assert bound.vacuous
    variation = found["Proposition 3.3 (total variation)"]
    assert (variation.true, variation.paper) == (pytest.approx(0.3), pytest.approx(0.3))


def test_the_lipschitz_constants_are_attained() -> None:
    """State 0 pays 1 for ever, whatever is done; state 1, which is never reached, pays 0."""
    A, B, gamma, eps = 3, 2, 0.8, 0.4
    P = np.zeros((2, A, B, 2))
    P[0, ..., 0] = P[1, ..., 1] = 1
    r = np.zeros((2, A, B))
    r[0] = 1
    problem = MarkovProblem(MarkovGame(P, r, np.array([1.0, 0.0]), gamma), np.full((2, B), 0.5), eps)
    found = gradient_bounds(problem, np.full((2, A), 1 / A), np.full((2, B), 1 / B))
    for bound, expected in zip(found[:2], (math.sqrt(3) / 0.2**2, 0.4 * math.sqrt(2) / 0.2**2), strict=True):
        assert "Lipschitz" in bound.name
        assert bound.true == pytest.approx(expected, rel=1e-12)
        assert bound.paper == pytest.approx(expected, rel=1e-12)


def test_a_start_that_does_not_cover_the_states_promises_no_gradient_domination() -> None:
    problem = leaving(0.5, 0.3)
    promised = [bound for bound in bounds(problem, ALONE, LEAVE) if "domination" in bound.name]
    assert [bound.paper for bound in promised] == [math.inf, math.inf]
    check(promised)


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("eps", [0.0, 0.3, 1.0])
def test_the_sharp_constants_of_trees_are_attained(number: int, eps: float) -> None:
    tree = chances_to_leave(number)
    stay, leave = np.tile([1.0, 0.0], (number, 1)), np.tile([0.0, 1.0], (number, 1))
    problem = tree_problem(tree, 0, (1,), {1: stay}, eps)
    assert most_decisions(problem) == number
    value, ends = bounds(problem, uniform(problem.victim_actions), leave)
    assert value.true == pytest.approx(1 - (1 - eps) ** number, abs=1e-12)
    assert value.sharp == pytest.approx(value.true, abs=1e-12)
    assert ends.true == pytest.approx(2 * value.true, abs=1e-12)
    assert ends.sharp == pytest.approx(ends.true, abs=1e-12)
    assert value.paper == ends.paper == value.slack == math.inf
    assert value.vacuous
    assert ends.vacuous


KUHN, KUHN3 = compile_tree("kuhn_poker"), compile_tree("kuhn_poker(players=3)")
SEATS = {"second": (KUHN, 0, (1,), 1), "first": (KUHN, 1, (0,), 2), "team": (KUHN3, 1, (0, 2), 3)}


@pytest.mark.parametrize("seat", SEATS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), eps=budgets)
def test_no_bound_is_violated_in_poker(seat: str, seed: int, eps: float) -> None:
    """Who comes first decides again if a bet follows its pass; of three, the last one's bet is then a decision too."""
    tree, victim, attackers, decisions = SEATS[seat]
    rng = np.random.default_rng(seed)

    def drawn(actions: np.ndarray) -> np.ndarray:
        weight = legal(actions) * rng.exponential(size=(len(actions), actions.max()))
        return weight / weight.sum(axis=1, keepdims=True)

    benign = {player: drawn(tree.infosets[player].count) for player in attackers}
    problem: TreeProblem = tree_problem(tree, victim, attackers, benign, eps)
    assert most_decisions(problem) == decisions
    nu = drawn(problem.victim_actions)
    for alpha in (drawn(problem.attacker_actions), problem.best_response(nu).policy):
        check(bounds(problem, nu, alpha))


def test_lemma_d3_fails_as_printed() -> None:
    """DECISIONS 11: matching pennies, .001 from the optimum, with every constant at hand taken as large as printed.

    phi(nu) = min(nu) is .001 below its maximum 1/2 at nu = (.501, .499). J = nu' M alpha, M the identity, in one
    state: u = 1, and l = 8, L = 4 are the paper's |A_nu| + |A_alpha| = 4 and 2 (|A_nu| + |A_alpha|) = 8.
    """
    payoffs, u, smooth, lipschitz = np.eye(2), 1.0, 8.0, 4.0
    nu = np.array([0.501, 0.499])
    gap = 0.5 - (nu @ payoffs).min()
    # The premise, gradient domination with u = 1: J is linear in nu, so both sides are the same number.
    game = MarkovGame(np.ones((1, 2, 2, 1)), payoffs[None], np.ones(1), 0.0)
    problem = MarkovProblem(game, np.full((1, 2), 0.5), 1.0)
    for alpha in np.random.default_rng(0).dirichlet([1, 1], (20, 1)):
        domination = [bound for bound in gradient_bounds(problem, nu[None], alpha) if "domination, nu" in bound.name]
        assert domination[0].true == pytest.approx(u * (domination[0].sharp or 0), abs=1e-12)
        assert domination[0].paper == pytest.approx(u * domination[0].true, abs=1e-12)

    # The Moreau envelope with lambda = 1 / (2 l), whose gradient is (proximal point - nu) / lambda: a quadratic program
    # in (nu', t): max t - l |nu' - nu|^2 with t at most each of nu' payoffs, nu' on the simplex.
    def loss(x: np.ndarray) -> float:
        return smooth * ((x[:2] - nu) ** 2).sum() - x[2]

    found = minimize(
        loss,
        [*nu, 0.0],
        jac=lambda x: np.array([*(2 * smooth * (x[:2] - nu)), -1.0]),
        bounds=[(0, 1), (0, 1), (None, None)],
        constraints=[
            {"type": "ineq", "fun": lambda x: x[:2] @ payoffs - x[2]},
            {"type": "eq", "fun": lambda x: x[:2].sum() - 1},
        ],
        options={"ftol": 1e-15},
    )
    proximal = found.x[:2]
    # By hand: for so small a distance the kink of phi at 1/2 outweighs the square, so the proximal point lies there.
    np.testing.assert_allclose(proximal, [0.5, 0.5], atol=1e-8)
    slope = 2 * smooth * np.linalg.norm(proximal - nu)
    assert slope == pytest.approx(2 * smooth * 0.001 * math.sqrt(2), rel=1e-4)
    assert gap > 1.5 * (u + lipschitz / (2 * smooth)) * slope**2  # as printed: violated
    assert gap < (u + lipschitz / (2 * smooth)) * slope  # unsquared: holds here


@given(st.integers(0, 2**32), st.sampled_from([1e-6, 1.0, 1e6, 1e12]), st.sampled_from([0.0, 0.5, 0.9, 0.999]), budgets)
@settings(max_examples=50, deadline=None)
def test_no_bound_lies_below_the_truth_by_rounding(seed: int, unit: float, gamma: float, eps: float) -> None:
    """No tolerance: what is printed as "at most" is at least the truth, at any size of rewards and of the budget."""
    rng = np.random.default_rng(seed)
    game, benign, nu, alpha = random_game(seed, 3, 2, 2, gamma, 2)
    r = np.full(game.r.shape, unit) if seed % 3 == 0 else unit * (game.r - rng.random())
    problem = MarkovProblem(replace(game, r=r), benign, eps if seed % 2 else eps * 1e-12)
    for adversary in (alpha, benign, problem.best_response(nu).policy):
        for bound in bounds(problem, nu, adversary):
            assert bound.true <= bound.paper, bound
            assert bound.sharp is None or bound.true <= bound.sharp, bound


def test_no_tree_bound_lies_below_the_truth_by_rounding() -> None:
    tree = compile_tree("kuhn_poker")
    for unit in (1e-9, 1.0, 1e9):
        for eps in (0.0, 1e-15, 0.1, 1.0):
            problem = tree_problem(replace(tree, returns=unit * tree.returns), 0, [1], {}, eps)
            nu = np.random.default_rng(0).dirichlet([1, 1], 6)
            for bound in bounds(problem, nu, problem.best_response(nu).policy):
                assert bound.sharp is not None and bound.true <= bound.sharp, (unit, eps, bound)
