"""A bandit of two agents as a functional game: nobody sees anything but zeros, and one arm always wins."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp

from sparring.types import AgentID, Array, Box, Discrete, Key, Spaces, Step, View

WINNING = 1


class Bandit(eqx.Module):
    """Matches of one step: the attacker wins if it chooses arm 1 of 2, else the victim does; the victim has no say."""

    num_games: int = eqx.field(static=True)
    id: str = eqx.field(static=True, default="envs.bandit:zeros")
    agents: tuple[AgentID, ...] = eqx.field(static=True, default=("victim", "attacker"))

    @property
    def spaces(self) -> Mapping[AgentID, Spaces]:
        return dict.fromkeys(self.agents, Spaces(Box((2,)), Discrete(2)))

    def init(self, key: Key) -> tuple[tuple[()], Mapping[AgentID, View]]:
        del key
        return (), self._views()

    def step(self, state: tuple[()], actions: Mapping[AgentID, Array], key: Key) -> tuple[tuple[()], Step]:
        del key
        won = jnp.where(actions["attacker"] == WINNING, 1, -1).astype(jnp.int8)
        outcome = {"victim": -won, "attacker": won}
        never = jnp.zeros(self.num_games, bool)
        reward = {agent: values.astype(jnp.float32) for agent, values in outcome.items()}
        return state, Step(self._views(), self._views(), reward, ~never, never, never, outcome, {})

    def _views(self) -> dict[AgentID, View]:
        return {agent: View(jnp.zeros((self.num_games, 2), jnp.float32)) for agent in self.agents}


def zeros(num_games: int = 1) -> Bandit:
    return Bandit(num_games)
