"""A functional game as a vector game: for code that steps matches one call at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from sparring.games.pictures import takes_size
from sparring.pytrees import traceable
from sparring.types import AgentID, Array, FunctionalGame, Game, Spaces, Step, VectorGame, View


class Hosted:
    """Steps a `FunctionalGame` with one compiled call per step; step t of a seed always draws the same.

    It has the game's `features`, and `frame(match) -> uint8 [H, W, 3]` where the game has `picture(state, match)`, and
    takes a size where that one does; see `games.pictures`.
    """

    def __init__(self, game: FunctionalGame) -> None:
        self.game = game
        self.id: str = game.id
        self.agents: tuple[AgentID, ...] = game.agents
        self.spaces: Mapping[AgentID, Spaces] = game.spaces
        self.num_games: int = game.num_games
        self.features: Mapping[AgentID, tuple[str, ...]] = getattr(game, "features", {})
        self._state: Any = None
        self._seed, self._count = 0, 0
        self._views: Any = {}
        if (picture := getattr(game, "picture", None)) is not None:

            def sized(match: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
                return picture(self._state, match, **({} if size is None else {"size": size}))

            self.frame: Callable[..., np.ndarray] = (
                sized if takes_size(picture) else lambda match=0: picture(self._state, match)
            )

    def reset(self, seed: int) -> Mapping[AgentID, View]:
        self._seed, self._count = seed, 0
        self._state, views = self.game.init(self._key())
        self._views = _numpy(views)
        return _numpy(self._views)

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        self._count += 1
        self._state, step = _compiled_step()(traceable(self.game), self._state, dict(actions), self._key())
        step = _numpy(step)
        self._views = _numpy(step.view)
        return step

    def get_state(self) -> dict[str, np.ndarray]:
        from sparring.checkpoint import flatten

        clock = {"seed": np.array(self._seed, np.uint64), "count": np.array(self._count)}
        return {**clock, **flatten({"state": self._state, "views": self._views})}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, View]:
        from sparring.checkpoint import unflatten

        if self._state is None:
            self.reset(0)
        self._seed, self._count = int(state["seed"]), int(state["count"])
        arrays = {name: value for name, value in state.items() if name not in ("seed", "count")}
        restored = unflatten({"state": self._state, "views": self._views}, arrays)
        self._state, self._views = restored["state"], restored["views"]
        return _numpy(self._views)

    def close(self) -> None:
        """Nothing is held open."""

    def _key(self) -> np.ndarray:
        return np.random.SeedSequence(self._seed, spawn_key=(self._count,)).generate_state(2)


def _numpy(tree: Any) -> Any:
    """The same with NumPy arrays of its own."""
    import jax

    return jax.tree.map(np.array, tree)


@cache
def _compiled_step() -> Any:
    import equinox as eqx

    return eqx.filter_jit(lambda game, state, actions, key: game.step(state, actions, key))


def hosted(game: Game) -> VectorGame:
    """The game itself if it is stepped on the host already, else wrapped."""
    return game if isinstance(game, VectorGame) else Hosted(game)
