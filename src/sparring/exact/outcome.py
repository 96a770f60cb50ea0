"""What becomes of matches in a finite game, and where they lead the victim: probabilities instead of samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact import markov
from sparring.exact.problem import MarkovProblem, Problem
from sparring.exact.tree import TreeProblem, reach
from sparring.exact.tree_game import TERMINAL, outcomes


class Outcome(NamedTuple):
    """The attacker's chances (its team's) and the expected values; None where a game knows no winner or no end."""

    win: float | None
    draw: float | None
    loss: float | None
    fail: float | None  # the victim loses, to whomever
    victim_value: float  # in a Markov game discounted: V_rho; elsewhere the expected return
    attacker_value: float  # the sum of the team's
    mean_decisions: float | None  # decisions of all players in a match


def outcome(problem: Problem, nu: np.ndarray, alpha: np.ndarray) -> Outcome:
    """How matches end when the attacker's agent plays (1 - eps) benign + eps alpha (Eq. 3.2).

    Who wins an end of a tree says `sparring.exact.tree_game.outcomes`; a match of a matrix game is won by whoever is
    paid. A team wins where one of its members does and the victim does not; it loses where all of its members lose, and
    the rest are draws. A discounted Markov game has no end, and therefore no winner.

    Raises:
      InputError: another kind of problem.
    """
    if isinstance(problem, TreeProblem):
        return _tree(problem, nu, alpha)
    game, played = _markov(problem).game, _markov(problem).played(alpha)
    value = markov.expected_value(game, nu, played)
    if game.gamma > 0:
        return Outcome(None, None, None, None, value, 0.0 - value, None)
    chance = game.rho[:, None, None] * nu[:, :, None] * played[:, None, :]
    win, loss = float(chance[game.r < 0].sum()), float(chance[game.r > 0].sum())
    return Outcome(win, float(chance[game.r == 0].sum()), loss, win, value, 0.0 - value, 2.0)


def visits(problem: Problem, nu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Where the victim decides, as a distribution over its rows, float64 [S].

    In a Markov game the discounted state visitation d_rho (Def. 2.1). In a tree the information set at which a decision
    of the victim's, drawn from all of them, is made. A victim that never moves has no such distribution: all zeros.

    Raises:
      InputError: another kind of problem.
    """
    if not isinstance(problem, TreeProblem):
        return markov.visitation(_markov(problem).game, nu, _markov(problem).played(alpha))
    tree = problem.tree
    own = tree.actor == problem.victim
    count = np.bincount(tree.infoset[own], reach(problem, nu, alpha)[own], len(problem.victim_actions))
    return count / max(count.sum(), np.finfo(np.float64).tiny)


def shift(problem: Problem, nu: np.ndarray, alpha: np.ndarray) -> float:
    """How visible an attack is: total variation, in [0, 1], between `visits` under the attack and without it.

    Raises:
      InputError: another kind of problem.
    """
    return float(np.abs(visits(problem, nu, alpha) - visits(problem, nu, problem.benign)).sum() / 2)


def _tree(problem: TreeProblem, nu: np.ndarray, alpha: np.ndarray) -> Outcome:
    tree, through = problem.tree, reach(problem, nu, alpha)
    leaves = tree.actor == TERMINAL
    chance, returns = through[leaves], tree.returns[leaves]
    ends, team = outcomes(returns), list(problem.attackers)
    best, victim = ends[:, team].max(axis=1), ends[:, problem.victim]
    won, lost = (best == 1) & (victim != 1), best == -1
    win, draw, loss, fail = (float(chance[which].sum()) for which in (won, ~won & ~lost, lost, victim == -1))
    expected = chance @ returns
    decisions = float(through[tree.actor >= 0].sum())
    return Outcome(win, draw, loss, fail, float(expected[problem.victim]), float(expected[team].sum()), decisions)


def _markov(problem: Problem) -> MarkovProblem:
    if not isinstance(problem, MarkovProblem):
        raise InputError(f"expected a problem on a Markov game or a tree, got {type(problem).__name__}")
    return problem
