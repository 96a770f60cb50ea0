"""Ambush: a game of three players as an exact tree. A traveller takes one of three roads; two bandits lie in wait.

The traveller (player 0) gets 1 if nobody waits on its road, 0 if one bandit does and -3 if both do: one bandit alone
only delays it. What it gets, the bandits (players 1 and 2) lose, half each. They choose without seeing the road; with
`radio` the second bandit sees where the first one waits, and without it all three move at once.
"""

from __future__ import annotations

import numpy as np

from sparring.exact.tree_game import TERMINAL, Infosets, Tree, check
from sparring.games.tree import SampledTree

ROADS = 3
PAID = (1.0, 0.0, -3.0)  # to the traveller, by the number of bandits on its road


def ambush(radio: bool) -> Tree:
    """The tree: one node, then 3, 9 and 27, as the players choose one after the other."""
    sizes = [ROADS**depth for depth in range(4)]
    level = np.concatenate([[0], np.cumsum(sizes)])
    depth = np.repeat(np.arange(4), sizes)
    number = np.arange(level[-1]) - level[depth]  # the roads that were chosen on the way, as digits to the base 3
    inner = depth < 3
    parent = np.where(depth > 0, level[depth - 1] + number // ROADS, -1)
    # The second bandit's information set is the first one's road, the last digit, where it sees it.
    seen = np.where((depth == 2) & radio, number % ROADS, 0)
    road, first, second = number // 9, number // 3 % 3, number % 3
    met = (road == first).astype(int) + (road == second)
    paid = np.where(inner, 0.0, np.array(PAID)[met])
    sets = (("",), ("",), tuple("abc") if radio else ("",))
    infosets = tuple(
        Infosets(
            keys,
            np.full(len(keys), ROADS, np.int64),
            np.tile(np.arange(ROADS), (len(keys), 1)),
            (tuple("abc"),) * len(keys),
        )
        for keys in sets
    )
    return check(
        Tree(
            id=f"envs.ambush:{'radio' if radio else 'silent'}",
            actor=np.where(inner, depth, TERMINAL).astype(np.int8),
            parent=parent,
            first_child=np.where(inner, level[np.minimum(depth + 1, 3)] + ROADS * number, level[-1]),
            count=np.where(inner, ROADS, 0),
            infoset=np.where(inner, seen, -1),
            chance=np.ones(level[-1]),
            level=level,
            returns=np.stack([paid, -paid / 2, -paid / 2], axis=1),
            infosets=infosets,
        )
    )


def radio(num_games: int = 1) -> SampledTree:
    return SampledTree(ambush(radio=True), num_games)


def silent(num_games: int = 1) -> SampledTree:
    return SampledTree(ambush(radio=False), num_games)
