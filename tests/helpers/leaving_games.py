"""Games in which the attacker's agent should stay and may leave for good: the worst attack is known by hand."""

from __future__ import annotations

import numpy as np

from sparring.exact.markov_game import MarkovGame
from sparring.exact.problem import MarkovProblem
from sparring.exact.tree_game import TERMINAL, Infosets, Tree


def leaving(gamma: float, eps: float, reward: tuple[float, float] = (0.0, 1.0)) -> MarkovProblem:
    """The attacker's agent keeps the match in state 0, or leaves for good; only staying is paid, with the more."""
    P = np.zeros((2, 1, 2, 2))
    P[0, 0, 0, 0] = P[0, 0, 1, 1] = P[1, 0, :, 1] = 1
    r = np.full((2, 1, 2), reward[0])
    r[0, 0, 0] = reward[1]
    stay = np.array([[1.0, 0.0], [1.0, 0.0]])
    return MarkovProblem(MarkovGame(P, r, np.array([1.0, 0.0]), gamma), stay, eps)


ALONE, LEAVE = np.ones((2, 1)), np.array([[0.0, 1.0], [0.0, 1.0]])


def chances_to_leave(number: int) -> Tree:
    """The victim looks on while the attacker may leave `number` times; the victim is paid 1 if it never does."""
    # Node 0 is the victim's, 1 the first chance to leave; staying and leaving at the k-th lead to 2k and 2k + 1.
    node = np.arange(2 * number + 2)
    chance = (node == 1) | ((node % 2 == 0) & (node > 0) & (node < 2 * number))
    returns = np.zeros((len(node), 2))
    returns[2 * number] = 1, -1
    watch = Infosets(("watch",), np.array([1]), np.array([[0]]), (("watch",),))
    names = tuple(f"chance {k}" for k in range(number))
    leave = Infosets(names, np.full(number, 2), np.tile([0, 1], (number, 1)), (("stay", "leave"),) * number)
    return Tree(
        id="test/leave",
        actor=np.select([node == 0, chance], [0, 1], TERMINAL).astype(np.int8),
        parent=np.where(node <= 1, node - 1, np.maximum(2 * (node // 2) - 2, 1)),
        first_child=np.select([node == 0, chance], [1, 2 * (node // 2) + 2], -1),
        count=np.select([node == 0, chance], [1, 2], 0),
        infoset=np.select([node == 0, chance], [0, node // 2], -1),
        chance=np.ones(len(node)),
        level=np.array([0, 1, *range(2, 2 * number + 3, 2)]),
        returns=returns,
        infosets=(watch, leave),
    )
