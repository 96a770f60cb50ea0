"""Discounted Markov games to be played: a `FunctionalGame` made of a `sparring.exact.markov_game.MarkovGame`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.exact.markov_game import MarkovGame, load
from sparring.types import AgentID, Array, Box, Discrete, Key, Spaces, Step, View

LONGEST = 10**9  # steps of a match, which are counted in int32


class SampledState(NamedTuple):
    state: Array  # int32 [B]
    time: Array  # int32 [B], steps since the match began


class _Arrays(NamedTuple):
    """What is drawn from, float32."""

    log_transitions: np.ndarray  # [S, A, B, S]
    reward: np.ndarray  # [S, A, B], the victim's
    log_start: np.ndarray  # [S]


class SampledMarkovGame:
    """A Markov game to be played: a `FunctionalGame` whose observation is the one-hot state, float32 [B, S].

    Matches have no winner and are cut off (truncated) after `horizon` steps; the default is the first number of steps
    for which gamma^horizon < 1e-3, so that little of a discounted return is missing.

    Raises:
      InputError: a horizon or a number of matches below one.
    """

    agents: tuple[AgentID, ...] = ("victim", "attacker")
    TRACED, STATIC = ("_arrays",), ("num_games", "horizon")
    SOUND = True  # see `play.checks.is_sound`

    def __init__(
        self, game: MarkovGame, num_games: int = 1, horizon: int | None = None, id: str = "markov/custom"
    ) -> None:
        horizon = _horizon(game.gamma) if horizon is None else horizon
        if num_games < 1:
            raise InputError(f"{id}: expected at least 1 match side by side, got {num_games}")
        if horizon < 1:
            raise InputError(f"{id}: expected a horizon of at least 1 step, got {horizon}")
        self.id, self.game, self.num_games, self.horizon = id, game, num_games, horizon
        with np.errstate(divide="ignore"):
            logs = np.log(game.P).astype(np.float32), np.log(game.rho).astype(np.float32)
        self._arrays = _Arrays(logs[0], game.r.astype(np.float32), logs[1])
        states, victim, attacker = game.r.shape
        observation = Box((states,), 0.0, 1.0)
        self.spaces: Mapping[AgentID, Spaces] = {
            "victim": Spaces(observation, Discrete(victim)),
            "attacker": Spaces(observation, Discrete(attacker)),
        }

    def init(self, key: Key) -> tuple[SampledState, Mapping[AgentID, View]]:
        """See `FunctionalGame.init`."""
        import jax.numpy as jnp

        state = self._start(key)
        return SampledState(state, jnp.zeros(self.num_games, jnp.int32)), self._views(state)

    def step(self, state: SampledState, actions: Mapping[AgentID, Array], key: Key) -> tuple[SampledState, Step]:
        """See `FunctionalGame.step`."""
        import jax
        import jax.numpy as jnp

        move, restart = jax.random.split(key)
        at = (state.state, actions["victim"], actions["attacker"])
        reward = jnp.asarray(self._arrays.reward)[at]
        following = jax.random.categorical(move, jnp.asarray(self._arrays.log_transitions)[at]).astype(jnp.int32)
        over = state.time + 1 >= self.horizon
        beginning = jnp.where(over, self._start(restart), following)
        never = jnp.zeros(self.num_games, bool)
        return SampledState(beginning, jnp.where(over, 0, state.time + 1)), Step(
            view=self._views(beginning),
            final_view=self._views(following),
            reward={"victim": reward, "attacker": -reward},
            terminated=never,
            truncated=over,
            invalid=never,
            outcome=None,
            info={},
        )

    def _start(self, key: Key) -> Array:
        import jax
        import jax.numpy as jnp

        log_start = jnp.asarray(self._arrays.log_start)
        return jax.random.categorical(key, log_start, shape=(self.num_games,)).astype(jnp.int32)

    def _views(self, state: Array) -> dict[AgentID, View]:
        import jax

        one_hot = jax.nn.one_hot(state, len(self._arrays.log_start), dtype=np.float32)
        return dict.fromkeys(self.agents, View(one_hot))


def names() -> tuple[str, ...]:
    """No names of its own: a game of this family is a file, `markov/FILE.npz`."""
    return ()


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> SampledMarkovGame:
    """The game `markov/FILE.npz`, option `horizon=STEPS`.

    Raises:
      InputError: a file that holds no game, an unknown option or a horizon that is no number of steps.
    """
    del threads
    id = f"markov/{name}"
    if strange := set(options) - {"horizon"}:
        raise unknown(f"option of {id}", min(strange), ("horizon",))
    horizon = None
    if "horizon" in options:
        if not options["horizon"].isdecimal():
            raise InputError(f"{id}: expected horizon=STEPS, a whole number, got {options['horizon']!r}")
        horizon = int(options["horizon"])
        if horizon > LONGEST:
            raise InputError(f"{id}: expected horizon=STEPS of at most {LONGEST:,}, got {horizon:,}")
        id = f"{id},horizon={horizon}"
    return SampledMarkovGame(load(name), num_games, horizon, id)


def _horizon(gamma: float) -> int:
    return min(math.floor(math.log(1e-3) / math.log(gamma)) + 1, LONGEST) if gamma > 1e-3 else 1
