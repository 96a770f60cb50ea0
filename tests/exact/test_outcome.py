from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.markov_game import random_game
from sparring.exact.outcome import outcome, shift, visits
from sparring.exact.problem import MarkovProblem, uniform
from sparring.exact.tree import reach, tree_problem
from sparring.exact.tree_game import CHANCE, TERMINAL, Infosets, Tree, check
from sparring.games.matrix import ROCK_PAPER_SCISSORS, as_markov
from sparring.games.openspiel import compile_tree

SEEDS = st.integers(0, 10_000)


def test_rock_paper_scissors() -> None:
    """Rock against (1 - eps) uniform + eps paper: the attacker wins 1/6 + 1/2, draws and loses 1/6 at eps = 1/2."""
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), np.full((1, 3), 1 / 3), 0.5)
    rock = np.eye(3)[[0]]
    beating = np.eye(3)[[int(ROCK_PAPER_SCISSORS[0].argmin())]]
    found = outcome(problem, rock, beating)
    assert found == pytest.approx((2 / 3, 1 / 6, 1 / 6, 2 / 3, -1 / 2, 1 / 2, 2))
    assert visits(problem, rock, beating) == pytest.approx([1])
    assert shift(problem, rock, beating) == 0


def test_kuhn_poker_by_hand() -> None:
    """Nobody ever bets (both pass): the higher card wins the ante, so that each wins half; two decisions a match."""
    tree = compile_tree("kuhn_poker")
    passing = np.eye(1, 2).repeat(6, axis=0)
    problem = tree_problem(tree, 0, [1], {1: passing}, 0.3)
    found = outcome(problem, passing, passing)
    assert found == pytest.approx((0.5, 0, 0.5, 0.5, 0, 0, 2))
    # The victim decides once, holding each of three cards equally often.
    assert np.sort(visits(problem, passing, passing)) == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 1 / 3])
    # An attacker who always bets leads it to a second decision, in every match, if it is always in control.
    betting = np.eye(2)[[1] * 6]
    full = replace(problem, budget=1.0)
    assert visits(full, passing, betting) == pytest.approx(np.full(6, 1 / 6))
    assert shift(full, passing, betting) == pytest.approx(1 / 2)


def ends(*returns: tuple[float, float, float]) -> Tree:
    """Chance draws one of these returns, all alike; before that each of three players has its one action to take."""
    one = [Infosets((key,), np.array([1]), np.array([[0]]), (("go",),)) for key in "abc"]
    count, last = len(returns), 4 + len(returns)
    return check(
        Tree(
            "ends",
            actor=np.array([0, 1, 2, CHANCE] + [TERMINAL] * count, np.int8),
            parent=np.array([-1, 0, 1, 2] + [3] * count),
            first_child=np.array([1, 2, 3, 4] + [last] * count),
            count=np.array([1, 1, 1, count] + [0] * count),
            infoset=np.array([0, 0, 0, -1] + [-1] * count),
            chance=np.array([1.0] * 4 + [1 / count] * count),
            level=np.array([0, 1, 2, 3, 4, last]),
            returns=np.array([(0.0, 0.0, 0.0)] * 4 + list(returns)),
            infosets=tuple(one),
        )
    )


def test_a_team_wins_where_two_of_it_share_the_highest_return() -> None:
    """The victim is paid -2, both attackers 1: their win and the victim's failure, by the rule of `outcomes`."""
    alone, both = np.ones((1, 1)), np.ones((2, 1))
    found = outcome(tree_problem(ends((-2, 1, 1)), 0, (1, 2), {}, 1.0), alone, both)
    assert found == (1, 0, 0, 1, -2, 2, 3)
    # One of each: the team wins, the victim wins, the victim shares the highest return, a third one wins, nobody does.
    tree = ends((-2, 1, 1), (2, -1, -1), (1, 1, -2), (-1, -1, 2), (0, 0, 0))
    found = outcome(tree_problem(tree, 0, (1, 2), {}, 1.0), alone, both)
    assert found[:4] == pytest.approx((2 / 5, 2 / 5, 1 / 5, 2 / 5))
    # To player 1 alone the fourth end is a loss, although the victim loses it as well.
    found = outcome(tree_problem(tree, 0, (1,), {}, 1.0), alone, alone)
    assert found[:4] == pytest.approx((1 / 5, 2 / 5, 2 / 5, 2 / 5))


def test_a_team_wins_together() -> None:
    tree = compile_tree("kuhn_poker(players=3)")
    problem = tree_problem(tree, 0, [1, 2], {}, 1.0)
    nu, alpha = uniform(problem.victim_actions), uniform(problem.attacker_actions)
    found = outcome(problem, nu, alpha)
    alone = outcome(tree_problem(tree, 0, [1], {}, 1.0), nu, uniform(tree.infosets[1].count))
    assert found.win is not None and found.draw is not None and found.loss is not None and alone.win is not None
    assert found.win + found.draw + found.loss == pytest.approx(1)
    assert found.attacker_value == pytest.approx(-found.victim_value)  # zero-sum, nobody is left out
    assert found.win > alone.win  # the same play, but player 2's wins are the team's too


@given(SEEDS, st.floats(0, 1), st.sampled_from([0, 1]))
def test_in_trees_chances_sum_to_one_and_returns_are_the_value(seed: int, budget: float, victim: int) -> None:
    tree = compile_tree("kuhn_poker")
    rng = np.random.default_rng(seed)
    nu, alpha, benign = rng.dirichlet([1, 1], (3, 6))
    problem = tree_problem(tree, victim, [1 - victim], {1 - victim: benign}, budget)
    found = outcome(problem, nu, alpha)
    assert found.win is not None and found.draw is not None and found.loss is not None
    assert found.win + found.draw + found.loss == pytest.approx(1)
    assert found.victim_value == pytest.approx(problem.value(nu, alpha))
    assert reach(problem, nu, alpha)[tree.count == 0].sum() == pytest.approx(1)
    assert visits(problem, nu, alpha).sum() == pytest.approx(1)
    assert 0 <= shift(problem, nu, alpha) <= 1
    assert shift(replace(problem, budget=0.0), nu, alpha) == 0


@given(SEEDS, st.floats(0, 1))
def test_markov_games_have_no_winner(seed: int, budget: float) -> None:
    game, benign, nu, alpha = random_game(seed, 4, 2, 3, 0.9, 2)
    problem = MarkovProblem(game, benign, budget)
    found = outcome(problem, nu, alpha)
    assert (found.win, found.draw, found.loss, found.fail, found.mean_decisions) == (None,) * 5
    assert found.victim_value == -found.attacker_value == problem.value(nu, alpha)
    assert visits(problem, nu, alpha).sum() == pytest.approx(1)
    # d_rho moves by at most gamma eps / (1 - gamma (1 - eps)) in total variation (DECISIONS 12, halved).
    assert shift(problem, nu, alpha) <= 0.9 * budget / (1 - 0.9 * (1 - budget)) + 1e-12


def test_another_kind_of_problem_is_refused() -> None:
    with pytest.raises(InputError, match="expected a problem on a Markov game or a tree, got int"):
        outcome(3, np.eye(1), np.eye(1))  # pyright: ignore[reportArgumentType]  # wrong on purpose
