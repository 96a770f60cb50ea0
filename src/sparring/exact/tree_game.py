"""Finite extensive-form games as flat arrays, breadth first: what exact solvers read and bulk sampling plays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparring.errors import InputError
from sparring.exact.payoffs import check_payoffs
from sparring.exact.rows import ROW_TOLERANCE

CHANCE, TERMINAL = -1, -2


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


def outcomes(returns: np.ndarray) -> np.ndarray:
    """Who wins and who loses a match that ends with these returns.

    Where the highest return is positive and not everybody has it, those who have it win (1) and all others lose (-1).
    Elsewhere the match is a draw (0).

    Args:
      returns: float [N, players], one row for each end of a match.

    Returns:
      int8 [N, players].
    """
    best = returns.max(axis=1, keepdims=True)
    top = returns == best
    decided = (best > 0) & ~top.all(axis=1, keepdims=True)
    return np.where(decided, np.where(top, 1, -1), 0).astype(np.int8)


def check(tree: Tree) -> Tree:
    """The tree, if it is a game that exact solvers can read; chance's rows are divided by their sums (DECISIONS 33).

    Raises:
      InputError: no decision at all, outcomes of chance that are no distribution, a return that is not finite, too
        large or too small (`exact.payoffs`), or a player who forgets what it saw or did (imperfect recall).
    """
    if not (tree.actor >= 0).any():
        raise InputError(f"{tree.id}: nobody has a choice: expected a game with a decision")
    tree = _chance_checked(tree)
    if not np.isfinite(tree.returns).all():
        node, player = np.argwhere(~np.isfinite(tree.returns))[0]
        raise InputError(f"{tree.id}: node {node}: the return of player {player} is {tree.returns[node, player]}")
    check_payoffs(tree.returns, tree.id)
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


def _chance_checked(tree: Tree) -> Tree:
    outcome = np.flatnonzero(tree.actor[tree.parent[1:]] == CHANCE) + 1
    parent, given = tree.parent[outcome], tree.chance[outcome]
    total = np.bincount(parent, given, len(tree.actor))
    bad = (tree.actor == CHANCE) & ~(np.abs(total - 1) <= ROW_TOLERANCE)
    bad[parent[~(given >= -ROW_TOLERANCE)]] = True
    if bad.any():
        node = bad.argmax()
        shown = tree.chance[tree.first_child[node] :][: tree.count[node]]
        raise InputError(
            f"{tree.id}: node {node}: expected chance to have probabilities >= 0 that sum to 1, got "
            f"{np.array2string(shown, threshold=8)} (sum {total[node]:.9g})"
        )
    given, raw = np.maximum(given, 0.0), given
    total = np.bincount(parent, given, len(tree.actor))
    missing = np.abs(total - 1) > (tree.count + 2) * np.finfo(np.float64).eps
    if not missing[parent].any() and (given == raw).all():
        return tree
    chance = tree.chance.copy()
    chance[outcome] = np.where(missing[parent], given / total[parent], given)
    return replace(tree, chance=chance)


def _last_choice(tree: Tree, player: int) -> np.ndarray:
    """The player's last choice before each node, int64 [N]: 1 + row * A + column, and 0 where there was none yet."""
    width = tree.infosets[player].actions.shape[1]
    last = np.zeros(len(tree.actor), np.int64)
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        parent = tree.parent[begin:end]
        chosen = 1 + tree.infoset[parent] * width + np.arange(begin, end) - tree.first_child[parent]
        last[begin:end] = np.where(tree.actor[parent] == player, chosen, last[parent])
    return last
