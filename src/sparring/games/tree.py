"""Finite extensive-form games to be played in bulk: a `FunctionalGame` made of a `sparring.exact.tree_game.Tree`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError
from sparring.exact.tree_game import CHANCE, TERMINAL, Tree
from sparring.types import NO_WINNER, AgentID, Array, Discrete, Key, Spaces, Step


class SampledTree:
    """A tree to be played in bulk: a `FunctionalGame` of agents "player0", "player1", ...

    One step is one decision; chance is drawn until the next one. The agent that is to move sees its information set,
    one-hot float32 [B, I]; whose observation is all zero does not move at this step. Actions are columns of its
    information set; one beyond the legal actions means the last legal one. At the end every agent is paid its return,
    and the one with the highest return wins if it is positive and nobody else has as much. Where chance alone has ended
    a match before anybody could decide, one step passes at which nobody moves.

    Raises:
      InputError: fewer than one match.
    """

    def __init__(self, tree: Tree, num_games: int = 1, id: str | None = None) -> None:
        self.id, self.tree, self.num_games = id or tree.id, tree, num_games
        if num_games < 1:
            raise InputError(f"{self.id}: expected at least 1 match side by side, got {num_games}")
        self.agents: tuple[AgentID, ...] = tuple(f"player{player}" for player in range(tree.players))
        self.spaces: Mapping[AgentID, Spaces] = {
            agent: Spaces(len(infosets.keys), Discrete(infosets.actions.shape[1]))
            for agent, infosets in zip(self.agents, tree.infosets, strict=True)
        }
        self._chance = _outcomes(tree)
        # Bisection takes as many rounds as the number of outcomes has bits; in many games chance moves first only.
        self._rounds = [int(size - 1).bit_length() for size in (self._chance.size[0], self._chance.size[1:].max())]
        best = tree.returns.max(axis=1)
        sole = (tree.returns == best[:, None]).sum(axis=1) == 1
        self._winner = np.where((best > 0) & sole, tree.returns.argmax(axis=1), NO_WINNER).astype(np.int8)
        self._returns = tree.returns.astype(np.float32)
        self._first_child, self._last = tree.first_child.astype(np.int32), (tree.count - 1).astype(np.int32)
        self._infoset = tree.infoset.astype(np.int32)

    def init(self, key: Key) -> tuple[Array, Mapping[AgentID, Array]]:
        """See `FunctionalGame.init`; the state is the node of each match's next decision, int32 [B]."""
        import jax.numpy as jnp

        node = self._drawn(key, jnp.zeros(self.num_games, jnp.int32), self._rounds[0])
        return node, self._observation(node)

    def step(self, state: Array, actions: Mapping[AgentID, Array], key: Key) -> tuple[Array, Step]:
        """See `FunctionalGame.step`."""
        import jax
        import jax.numpy as jnp

        move, restart = jax.random.split(key)
        actor = jnp.asarray(self.tree.actor)[state]
        action = jnp.zeros(self.num_games, jnp.int32)
        for player, agent in enumerate(self.agents):
            action = jnp.where(actor == player, actions[agent], action)
        action = jnp.clip(action, 0, jnp.asarray(self._last)[state])
        reached = self._drawn(move, jnp.asarray(self._first_child)[state] + action, self._rounds[1])
        reached = jnp.where(actor == TERMINAL, state, reached)
        over = jnp.asarray(self.tree.actor)[reached] == TERMINAL
        beginning = self._drawn(restart, jnp.zeros_like(reached), self._rounds[0])
        following = jnp.where(over, beginning, reached)
        returns = jnp.asarray(self._returns)[reached]
        never = jnp.zeros(self.num_games, bool)
        return following, Step(
            observation=self._observation(following),
            reward={agent: returns[:, player] for player, agent in enumerate(self.agents)},
            terminated=over,
            truncated=never,
            final_observation=self._observation(reached),
            winner=jnp.asarray(self._winner)[reached],
            invalid=never,
            info={},
        )

    def _drawn(self, key: Key, node: Array, rounds: int) -> Array:
        """Where chance leads from each node: the next decision or end; the node itself where chance has no say."""
        import jax
        import jax.numpy as jnp

        begin, size, outcome, cumulative = (jnp.asarray(array) for array in self._chance)
        low, high = begin[node], begin[node] + size[node] - 1
        uniform = jax.random.uniform(key, node.shape)
        # The first outcome whose cumulative probability exceeds the uniform number, by bisection.
        for _ in range(rounds):
            middle = (low + high) // 2
            beyond = cumulative[middle] <= uniform
            low, high = jnp.where(beyond, jnp.minimum(middle + 1, high), low), jnp.where(beyond, high, middle)
        return outcome[low]

    def _observation(self, node: Array) -> dict[AgentID, Array]:
        import jax
        import jax.numpy as jnp

        actor, row = jnp.asarray(self.tree.actor)[node], jnp.asarray(self._infoset)[node]
        return {
            # The one-hot vector of -1 is all zero.
            agent: jax.nn.one_hot(jnp.where(actor == player, row, -1), self.spaces[agent].observation)
            for player, agent in enumerate(self.agents)
        }


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
