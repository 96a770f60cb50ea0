"""A finite game's data, seats instead of agents' names: its policies' rows, its problems and its equilibria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from sparring.errors import InputError
from sparring.exact.markov_game import MarkovGame
from sparring.exact.problem import MarkovProblem, uniform
from sparring.exact.robust import robust
from sparring.exact.tree import TreeProblem, tree_problem
from sparring.exact.tree_game import Infosets, Tree

FiniteData: TypeAlias = Tree | MarkovGame
FiniteProblem: TypeAlias = MarkovProblem | TreeProblem


def infosets(data: FiniteData, seat: int) -> Infosets:
    """The rows of the policies in a seat: its information sets; in a Markov game the states, called 0, 1, ..."""
    if isinstance(data, Tree):
        return data.infosets[seat]
    states, actions = data.r.shape[0], data.r.shape[1 + seat]
    names = tuple(str(action) for action in range(actions))
    ids = np.tile(np.arange(actions), (states, 1))
    return Infosets(tuple(map(str, range(states))), np.full(states, actions), ids, (names,) * states)


def problem(
    data: FiniteData,
    victim: int,
    attackers: Sequence[int],
    benign: Mapping[int, np.ndarray],
    budget: float,
    others: Mapping[int, np.ndarray] | None = None,
) -> FiniteProblem:
    """J_eps (Def. 5.1) of a victim and one or several attackers.

    Args:
      data: the game; in a Markov game seat 0 is paid r and seat 1 is paid -r.
      victim: the seat of the one who maximises.
      attackers: the seats of those who minimise; several of them are a team.
      benign: each attacker's own policy [I, A]; uniform where there is none.
      budget: epsilon.
      others: the policies of everybody else; uniform where there is none.

    Raises:
      InputError: seats that the game does not have, policies that do not fit, or a budget outside [0, 1].
    """
    if isinstance(data, Tree):
        return tree_problem(data, victim, attackers, benign, budget, others)
    if sorted([victim, *attackers]) != [0, 1]:
        raise InputError(
            f"Markov game: expected a victim and an attacker in the seats 0 and 1, got {victim} and {list(attackers)}"
        )
    own = benign.get(attackers[0])
    own = uniform(infosets(data, attackers[0]).count) if own is None else own
    return MarkovProblem(_victim_first(data, victim), own, budget)


def nash(data: FiniteData, seat: int) -> np.ndarray:
    """A seat's maximin policy, float64 [I, A]: one of a Nash equilibrium, where the game is one of two and zero-sum.

    Raises:
      InputError: a game of more than two agents, where a maximin policy against all others is no equilibrium.
    """
    seats = data.players if isinstance(data, Tree) else 2
    if seats != 2:
        raise InputError(f"policy nash: expected a game of two agents, got one of {seats}")
    return robust(problem(data, seat, [1 - seat], {}, 1.0)).victim


def _victim_first(game: MarkovGame, seat: int) -> MarkovGame:
    """The game with the agent of `seat` as its victim, who is paid what it was paid in its own seat."""
    return game if seat == 0 else MarkovGame(game.P.swapaxes(1, 2), -game.r.swapaxes(1, 2), game.rho, game.gamma)
