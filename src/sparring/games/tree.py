"""Finite extensive-form games to be played in bulk: a `FunctionalGame` made of a `sparring.exact.tree_game.Tree`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact.tree_game import CHANCE, TERMINAL, Tree, outcomes
from sparring.types import AgentID, Array, Box, Discrete, Key, Spaces, Step, View


class SampledTree:
    """A tree to be played in bulk: a `FunctionalGame` of agents "player0", "player1", ...

    One step is one decision; chance is drawn until the next one. The agent that is to move sees its information set,
    one-hot float32 [B, I], and which columns of it are legal actions; the others do not move at this step, and see
    zeros. At the end every agent is paid its return; who wins is said by `exact.tree_game.outcomes`. Where chance alone
    has ended a match before anybody could decide, one step passes at which nobody moves.

    Raises:
      InputError: fewer than one match.
    """

    TRACED, STATIC = ("_play",), ("num_games", "agents", "sizes", "_rounds")
    SOUND = True  # see `play.checks.is_sound`

    def __init__(self, tree: Tree, num_games: int = 1, id: str | None = None) -> None:
        self.id, self.tree, self.num_games = id or tree.id, tree, num_games
        if num_games < 1:
            raise InputError(f"{self.id}: expected at least 1 match side by side, got {num_games}")
        self.agents: tuple[AgentID, ...] = tuple(f"player{player}" for player in range(tree.players))
        self.sizes = tuple(infosets.actions.shape for infosets in tree.infosets)  # rows and columns of each player
        chance = _outcomes(tree)
        # Bisection takes as many rounds as the number of outcomes has bits; in many games chance moves first only.
        self._rounds = tuple(int(size - 1).bit_length() for size in (chance.size[0], chance.size[1:].max()))
        self._play = _Play(
            chance,
            tree.actor,
            tree.first_child.astype(np.int32),
            (tree.count - 1).astype(np.int32),
            tree.infoset.astype(np.int32),
            tuple(infosets.count.astype(np.int32) for infosets in tree.infosets),
            tree.returns.astype(np.float32),
            outcomes(tree.returns),
        )

    @property
    def spaces(self) -> Mapping[AgentID, Spaces]:
        return {
            agent: Spaces(Box((rows,), 0.0, 1.0), Discrete(columns))
            for agent, (rows, columns) in zip(self.agents, self.sizes, strict=True)
        }

    def init(self, key: Key) -> tuple[Array, Mapping[AgentID, View]]:
        """See `FunctionalGame.init`; the state is the node of each match's next decision, int32 [B]."""
        import jax.numpy as jnp

        node = self._drawn(key, jnp.zeros(self.num_games, jnp.int32), self._rounds[0])
        return node, self._views(node)

    def step(self, state: Array, actions: Mapping[AgentID, Array], key: Key) -> tuple[Array, Step]:
        """See `FunctionalGame.step`."""
        import jax
        import jax.numpy as jnp

        play = jax.tree.map(jnp.asarray, self._play)
        move, restart = jax.random.split(key)
        actor = play.actor[state]
        action = jnp.zeros(self.num_games, jnp.int32)
        for player, agent in enumerate(self.agents):
            action = jnp.where(actor == player, actions[agent], action)
        # An illegal action is refused where actions are looked at; here it must only not leave the tree.
        action = jnp.clip(action, 0, play.last[state])
        reached = self._drawn(move, play.first_child[state] + action, self._rounds[1])
        reached = jnp.where(actor == TERMINAL, state, reached)
        over = play.actor[reached] == TERMINAL
        beginning = self._drawn(restart, jnp.zeros_like(reached), self._rounds[0])
        following = jnp.where(over, beginning, reached)
        never = jnp.zeros(self.num_games, bool)
        return following, Step(
            view=self._views(following),
            final_view=self._views(reached),
            reward={agent: play.returns[reached, player] for player, agent in enumerate(self.agents)},
            terminated=over,
            truncated=never,
            invalid=never,
            outcome={
                agent: jnp.where(over, play.outcome[reached, player], 0).astype(jnp.int8)
                for player, agent in enumerate(self.agents)
            },
            info={},
        )

    def _drawn(self, key: Key, node: Array, rounds: int) -> Array:
        """Where chance leads from each node: the next decision or end; the node itself where chance has no say."""
        import jax
        import jax.numpy as jnp

        begin, size, outcome, cumulative = (jnp.asarray(array) for array in self._play.chance)
        low, high = begin[node], begin[node] + size[node] - 1
        uniform = jax.random.uniform(key, node.shape)
        # The first outcome whose cumulative probability exceeds the uniform number, by bisection.
        for _ in range(rounds):
            middle = (low + high) // 2
            beyond = cumulative[middle] <= uniform
            low, high = jnp.where(beyond, jnp.minimum(middle + 1, high), low), jnp.where(beyond, high, middle)
        return outcome[low]

    def _views(self, node: Array) -> dict[AgentID, View]:
        import jax
        import jax.numpy as jnp

        actor, row = jnp.asarray(self._play.actor)[node], jnp.asarray(self._play.infoset)[node]
        views = {}
        for player, (agent, (rows, columns)) in enumerate(zip(self.agents, self.sizes, strict=True)):
            moves = actor == player
            own = jnp.where(moves, row, -1)
            count = jnp.where(moves, jnp.asarray(self._play.count[player])[own], columns)
            # The one-hot vector of -1 is all zero.
            views[agent] = View(jax.nn.one_hot(own, rows), jnp.arange(columns) < count[:, None], moves)
        return views


class _Play(NamedTuple):
    """The tree's arrays that play reads."""

    chance: _Outcomes
    actor: np.ndarray  # int8 [N]
    first_child: np.ndarray  # int32 [N]
    last: np.ndarray  # int32 [N], the number of children minus one
    infoset: np.ndarray  # int32 [N]
    count: tuple[np.ndarray, ...]  # int32 [I] of each player: legal actions
    returns: np.ndarray  # float32 [N, players]
    outcome: np.ndarray  # int8 [N, players]


class _Outcomes(NamedTuple):
    """What follows each node once chance has been drawn to its end: entries begin .. begin + size - 1 of the lists."""

    begin: np.ndarray  # int32 [N]
    size: np.ndarray  # int32 [N], 1 where chance has no say
    outcome: np.ndarray  # int32 [n], a node at which a player decides or the match ends
    cumulative: np.ndarray  # float32 [n], probability of this outcome and those before it


def _outcomes(tree: Tree) -> _Outcomes:
    """Runs of chance nodes, each collapsed into one draw at its first node."""
    nodes = np.arange(len(tree.actor))
    first, probability = nodes.copy(), np.ones(len(nodes))
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        parent = tree.parent[begin:end]
        drawn = tree.actor[parent] == CHANCE
        first[begin:end] = np.where(drawn, first[parent], nodes[begin:end])
        probability[begin:end] = np.where(drawn, probability[parent] * tree.chance[begin:end], 1.0)
    settled = nodes[tree.actor != CHANCE]
    outcome = settled[np.argsort(first[settled], kind="stable")]
    begin = np.searchsorted(first[outcome], nodes)
    size = np.searchsorted(first[outcome], nodes, "right") - begin
    total = np.concatenate([[0.0], probability[outcome].cumsum()])
    cumulative = total[1:] - total[begin[first[outcome]]]
    return _Outcomes(
        begin.astype(np.int32), size.astype(np.int32), outcome.astype(np.int32), cumulative.astype(np.float32)
    )
