from __future__ import annotations

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact.finite import infosets, nash, problem
from sparring.exact.markov_game import random_game
from sparring.exact.problem import MarkovProblem, exploitability
from sparring.exact.tree import TreeProblem
from sparring.games.openspiel import compile_tree


def test_rows_are_states_or_information_sets() -> None:
    rows = infosets(random_game(0, 4, 2, 3, 0.9, 2).game, 1)
    assert rows.keys == ("0", "1", "2", "3") and rows.count.tolist() == [3] * 4
    assert infosets(compile_tree("kuhn_poker"), 1).names[0] == ("Pass", "Bet")


def test_seats_decide_who_is_paid_what() -> None:
    """In a Markov game seat 0 is paid r and seat 1 is paid -r; the values are minus each other."""
    game, benign, nu, alpha = random_game(1, 3, 2, 2, 0.8, 2)
    first, second = problem(game, 0, [1], {1: benign}, 1.0), problem(game, 1, [0], {}, 1.0)
    assert isinstance(first, MarkovProblem) and isinstance(second, MarkovProblem)
    assert first.value(nu, alpha) == pytest.approx(-second.value(alpha, nu))
    assert isinstance(problem(compile_tree("kuhn_poker"), 1, [0], {}, 0.5), TreeProblem)
    for victim, attackers in ((0, [0]), (0, [1, 0]), (2, [0])):
        with pytest.raises(InputError, match="expected a victim and an attacker in the seats 0 and 1"):
            problem(game, victim, attackers, {}, 1.0)


def test_nash_of_kuhn_poker_is_worth_its_value() -> None:
    """-1/18 for the first seat (Kuhn 1950)."""
    tree = compile_tree("kuhn_poker")
    assert exploitability(problem(tree, 0, [1], {}, 1.0), nash(tree, 0)) == pytest.approx(1 / 18, abs=1e-9)
    with pytest.raises(InputError, match="expected a game of two agents, got one of 3"):
        nash(compile_tree("kuhn_poker(players=3)"), 0)


def test_the_scale_of_a_tree_is_its_range() -> None:
    """Kuhn poker pays -2 to 2. A constant game has no range: a thousandth of its payoff stands in for it."""
    tree = compile_tree("kuhn_poker")
    assert problem(tree, 0, [1], {}, 0.5).scale == 4
    game = random_game(0, 2, 2, 2, 0.5, 2).game
    constant = type(game)(game.P, np.ones(game.r.shape), game.rho, game.gamma)
    assert problem(constant, 0, [1], {}, 0.5).scale == pytest.approx(0.002)
