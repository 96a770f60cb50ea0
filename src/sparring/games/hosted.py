"""A functional game as a vector game: for code that steps matches one call at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.types import AgentID, Array, FunctionalGame, Game, Spaces, Step, VectorGame


class Hosted:
    """Steps a `FunctionalGame` with one compiled call per step; step t of a seed always draws the same."""

    def __init__(self, game: FunctionalGame) -> None:
        import equinox as eqx

        self.game = game
        self.id: str = game.id
        self.agents: tuple[AgentID, ...] = game.agents
        self.spaces: Mapping[AgentID, Spaces] = game.spaces
        self.num_games: int = game.num_games
        self._step = eqx.filter_jit(game.step)
        self._state: Any = None
        self._seed, self._count = 0, 0
        self._observation: dict[AgentID, np.ndarray] = {}

    def reset(self, seed: int) -> Mapping[AgentID, Array]:
        self._seed, self._count = seed, 0
        self._state, observation = self.game.init(self._key())
        self._observation = {a: np.array(x) for a, x in observation.items()}
        return {a: x.copy() for a, x in self._observation.items()}

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        import jax

        self._count += 1
        self._state, step = self._step(self._state, dict(actions), self._key())
        step = jax.tree.map(np.array, step)
        self._observation = {a: x.copy() for a, x in step.observation.items()}
        return step

    def get_state(self) -> dict[str, np.ndarray]:
        from sparring.checkpoint import flatten

        clock = {"seed": np.array(self._seed, np.uint64), "count": np.array(self._count)}
        return {**clock, **flatten({"state": self._state, "observation": self._observation})}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, Array]:
        from sparring.checkpoint import unflatten

        if self._state is None:
            self.reset(0)
        self._seed, self._count = int(state["seed"]), int(state["count"])
        arrays = {name: value for name, value in state.items() if name not in ("seed", "count")}
        restored = unflatten({"state": self._state, "observation": self._observation}, arrays)
        self._state, self._observation = restored["state"], restored["observation"]
        return {a: x.copy() for a, x in self._observation.items()}

    def close(self) -> None:
        """Nothing is held open."""

    def _key(self) -> np.ndarray:
        return np.random.SeedSequence(self._seed, spawn_key=(self._count,)).generate_state(2)


def hosted(game: Game) -> VectorGame:
    """The game itself if it is stepped on the host already, else wrapped."""
    return game if isinstance(game, VectorGame) else Hosted(game)
