"""Finite extensive-form games as flat arrays, breadth first: what exact solvers read and bulk sampling plays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparring.errors import InputError

CHANCE, TERMINAL = -1, -2
ROW_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Infosets:
    """One player's information sets, in the order in which a breadth-first traversal meets them.

    A policy of this player is a table float64 [I, A]: column j is the j-th legal action, columns beyond them are 0.
    """

    keys: tuple[str, ...]  # the game's information-state strings, [I]
    count: np.ndarray  # int64 [I], number of legal actions
    actions: np.ndarray  # int64 [I, A], the game's own ids of the legal actions, ascending; -1 beyond
    names: tuple[tuple[str, ...], ...]  # the game's own words for them


@dataclass(frozen=True, eq=False)
class Tree:
    """A finite game of perfect recall. Nodes are numbered breadth first, so the children of a node lie side by side.

    Player, chance and terminal nodes share one numbering 0 .. N-1; node 0 is the root.
    """

    id: str
    actor: np.ndarray  # int8 [N], the player to move, CHANCE or TERMINAL
    parent: np.ndarray  # int64 [N], -1 of the root
    first_child: np.ndarray  # int64 [N], children are first_child + 0 .. count - 1, in the order of legal actions
    count: np.ndarray  # int64 [N], number of children
    infoset: np.ndarray  # int64 [N], row in the actor's `infosets`, -1 at chance and terminal nodes
    chance: np.ndarray  # float64 [N], probability that chance leads here from its parent, 1 where it does not decide
    level: np.ndarray  # int64 [depth + 2], the nodes at depth d are level[d] .. level[d + 1] - 1
    returns: np.ndarray  # float64 [N, players], at terminal nodes; 0 elsewhere
    infosets: tuple[Infosets, ...]  # one per player

    @property
    def players(self) -> int:
        return len(self.infosets)


def check(tree: Tree) -> Tree:
    """The tree itself, if it is a game that exact solvers can read.

    Raises:
      InputError: no decision at all, outcomes of chance that are no distribution, a return that is not finite, or a
        player who forgets what it saw or did (imperfect recall).
    """
    if not (tree.actor >= 0).any():
        raise InputError(f"{tree.id}: nobody has a choice: expected a game with a decision")
    outcome = np.flatnonzero(tree.actor[tree.parent[1:]] == CHANCE) + 1
    total = np.bincount(tree.parent[outcome], tree.chance[outcome], len(tree.actor))
    bad = (tree.actor == CHANCE) & ~(np.abs(total - 1) <= ROW_TOLERANCE)
    bad[tree.parent[outcome[~(tree.chance[outcome] >= 0)]]] = True
    if bad.any():
        node = bad.argmax()
        given = tree.chance[tree.first_child[node] :][: tree.count[node]]
        raise InputError(
            f"{tree.id}: node {node}: expected chance to have probabilities >= 0 that sum to 1, got "
            f"{np.array2string(given, threshold=8)} (sum {total[node]:.9g})"
        )
    if not np.isfinite(tree.returns).all():
        node, player = np.argwhere(~np.isfinite(tree.returns))[0]
        raise InputError(f"{tree.id}: node {node}: the return of player {player} is {tree.returns[node, player]}")
    for player, infosets in enumerate(tree.infosets):
        last = _last_choice(tree, player)
        nodes = np.flatnonzero(tree.actor == player)
        rows = tree.infoset[nodes]
        before = np.zeros(len(infosets.keys), np.int64)
        before[rows] = last[nodes]
        if (forgotten := before[rows] != last[nodes]).any():
            key = infosets.keys[rows[forgotten][0]]
            raise InputError(
                f"{tree.id}: player {player} has imperfect recall: it can be in {key!r} after different choices of its "
                "own; expected every information set to have one"
            )
    return tree


def _last_choice(tree: Tree, player: int) -> np.ndarray:
    """The player's last choice before each node, int64 [N]: 1 + row * A + column, and 0 where there was none yet."""
    width = tree.infosets[player].actions.shape[1]
    last = np.zeros(len(tree.actor), np.int64)
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        parent = tree.parent[begin:end]
        chosen = 1 + tree.infoset[parent] * width + np.arange(begin, end) - tree.first_child[parent]
        last[begin:end] = np.where(tree.actor[parent] == player, chosen, last[parent])
    return last


def outcomes(returns: np.ndarray) -> np.ndarray:
    """Who has won, from returns [..., players]: int8 [..., players], 1 for a win, -1 for a loss, 0 for a draw.

    Those with the highest return win if it is positive and not everybody has it; the others lose. Else it is a draw.
    """
    best = returns.max(axis=-1, keepdims=True)
    first = returns == best
    decided = (best > 0) & ~first.all(axis=-1, keepdims=True)
    return np.where(decided, np.where(first, 1, -1), 0).astype(np.int8)
