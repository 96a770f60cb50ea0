"""Two-player zero-sum discounted Markov games as arrays: exact, from a file, at random, or to be sampled."""

from __future__ import annotations

import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sparring.errors import InputError, unknown
from sparring.types import NO_WINNER, AgentID, Array, Discrete, Key, Spaces, Step

MAX_BYTES = 256 * 2**20
ROW_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """Section 2 with two agents: the victim plays a and is paid r, the attacker plays b and is paid -r.

    Raises:
      InputError: shapes that do not fit, numbers that are not finite, rows of P or rho that are no distributions, or a
        discount outside [0, 1).
    """

    P: np.ndarray  # float64 [S, A, B, S], probability of the next state
    r: np.ndarray  # float64 [S, A, B], the victim's reward
    rho: np.ndarray  # float64 [S], start distribution
    gamma: float  # discount in [0, 1)

    def __post_init__(self) -> None:
        for name in ("P", "r", "rho"):
            array = np.array(getattr(self, name), np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
            if (bad := ~np.isfinite(array)).any():
                raise InputError(f"Markov game: {name} has a NaN or an infinity at {np.argwhere(bad)[0].tolist()}")
        if self.r.ndim != 3 or not self.r.size:
            raise InputError(f"Markov game: expected r of shape [S, A, B], got {list(self.r.shape)}")
        states = self.r.shape[0]
        for name, array, shape in (("P", self.P, (*self.r.shape, states)), ("rho", self.rho, (states,))):
            if array.shape != shape:
                raise InputError(
                    f"Markov game: r is {list(self.r.shape)}, so {name} must be {list(shape)}, got {list(array.shape)}"
                )
            _check_rows(name, array)
        if not (np.ndim(self.gamma) == 0 and 0 <= self.gamma < 1):
            raise InputError(f"Markov game: expected a discount gamma in [0, 1), got {self.gamma}")
        object.__setattr__(self, "gamma", float(self.gamma))


class RandomGame(NamedTuple):
    """A random game and the policies drawn with it."""

    game: MarkovGame
    benign: np.ndarray  # float64 [S, B]
    nu: np.ndarray  # float64 [S, A]
    alpha: np.ndarray  # float64 [S, B]


def random_game(
    seed: int, S: int, A: int, B: int, gamma: float, k: int, rho: Literal["random", "uniform"] = "random"
) -> RandomGame:
    """A random game in which every transition leads to one of `k` states, rewards are uniform in [0, 1].

    Weights are exponential, so distributions are uniform on their simplex. Only `rng.random` is drawn, always in the
    same order and number, so that a seed means the same game everywhere.

    Raises:
      InputError: sizes below one, more successors than states, or a discount outside [0, 1).
    """
    if min(S, A, B) < 1 or not 1 <= k <= S:
        raise InputError(f"random game: expected S, A, B >= 1 and 1 <= k <= S, got S={S}, A={A}, B={B}, k={k}")
    if rho not in ("random", "uniform"):
        raise unknown("start distribution", rho, ("random", "uniform"))
    rng = np.random.default_rng(seed)
    weight = -np.log1p(-rng.random((S, A, B, S)))
    order = np.argsort(rng.random((S, A, B, S)), axis=-1, kind="stable")
    np.put_along_axis(weight, order[..., k:], 0.0, axis=-1)
    reward = rng.random((S, A, B))
    start = _normalised(-np.log1p(-rng.random(S)))
    if rho == "uniform":
        start = np.full(S, 1 / S)
    benign, nu, alpha = (_normalised(-np.log1p(-rng.random((S, n)))) for n in (B, A, B))
    return RandomGame(MarkovGame(_normalised(weight), reward, start, gamma), benign, nu, alpha)


def save(path: Path | str, game: MarkovGame) -> None:
    """Write a game as .npz with the arrays P, r, rho and gamma; an earlier file stays intact if that fails.

    Raises:
      InputError: the file cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, P=game.P, r=game.r, rho=game.rho, gamma=np.float64(game.gamma))
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write the game: {error.strerror}") from error


def load(path: Path | str) -> MarkovGame:
    """Read a game from .npz; nothing in the file is ever executed.

    Raises:
      InputError: missing, too large, damaged, or not a game.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes of arrays, got {size}")
        with np.load(path, allow_pickle=False) as arrays:
            if absent := {"P", "r", "rho", "gamma"} - set(arrays.files):
                raise InputError(f"{path}: expected the arrays P, r, rho and gamma, there is no {min(absent)}")
            fields = {name: arrays[name] for name in ("P", "r", "rho", "gamma")}
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file: give a Markov game's .npz (P, r, rho, gamma)") from None
    except InputError:
        raise
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as the .npz of a Markov game: {error}") from error
    if any(not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array) for array in fields.values()):
        raise InputError(f"{path}: expected arrays of real numbers, got {[str(a.dtype) for a in fields.values()]}")
    try:
        return MarkovGame(fields["P"], fields["r"], fields["rho"], fields["gamma"].item())
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


class SampledState(NamedTuple):
    state: Array  # int32 [B]
    time: Array  # int32 [B], steps since the match began


class SampledMarkovGame:
    """A Markov game to be played: a `FunctionalGame` whose observation is the one-hot state, float32 [B, S].

    Matches have no winner and are cut off (truncated) after `horizon` steps; the default is the first number of steps
    for which gamma^horizon < 1e-3, so that little of a discounted return is missing.

    Raises:
      InputError: a horizon or a number of matches below one.
    """

    agents: tuple[AgentID, ...] = ("victim", "attacker")

    def __init__(
        self, game: MarkovGame, num_games: int = 1, horizon: int | None = None, id: str = "markov/custom"
    ) -> None:
        horizon = _horizon(game.gamma) if horizon is None else horizon
        if num_games < 1:
            raise InputError(f"{id}: expected at least 1 match side by side, got {num_games}")
        if horizon < 1:
            raise InputError(f"{id}: expected a horizon of at least 1 step, got {horizon}")
        self.id, self.game, self.num_games, self.horizon = id, game, num_games, horizon
        states, victim, attacker = game.r.shape
        self.spaces: Mapping[AgentID, Spaces] = {
            "victim": Spaces(states, Discrete(victim)),
            "attacker": Spaces(states, Discrete(attacker)),
        }

    def init(self, key: Key) -> tuple[SampledState, Mapping[AgentID, Array]]:
        """See `FunctionalGame.init`."""
        import jax.numpy as jnp

        state = self._start(key)
        return SampledState(state, jnp.zeros(self.num_games, jnp.int32)), self._observation(state)

    def step(self, state: SampledState, actions: Mapping[AgentID, Array], key: Key) -> tuple[SampledState, Step]:
        """See `FunctionalGame.step`."""
        import jax
        import jax.numpy as jnp

        move, restart = jax.random.split(key)
        at = (state.state, actions["victim"], actions["attacker"])
        reward = jnp.asarray(self.game.r, jnp.float32)[at]
        rows = jnp.log(jnp.asarray(self.game.P, jnp.float32)[at])
        following = jax.random.categorical(move, rows).astype(jnp.int32)
        over = state.time + 1 >= self.horizon
        beginning = jnp.where(over, self._start(restart), following)
        never = jnp.zeros(self.num_games, bool)
        return SampledState(beginning, jnp.where(over, 0, state.time + 1)), Step(
            observation=self._observation(beginning),
            reward={"victim": reward, "attacker": -reward},
            terminated=never,
            truncated=over,
            final_observation=self._observation(following),
            winner=jnp.full(self.num_games, NO_WINNER, jnp.int8),
            invalid=never,
            info={},
        )

    def _start(self, key: Key) -> Array:
        import jax
        import jax.numpy as jnp

        log_rho = jnp.log(jnp.asarray(self.game.rho, jnp.float32))
        return jax.random.categorical(key, log_rho, shape=(self.num_games,)).astype(jnp.int32)

    def _observation(self, state: Array) -> Mapping[AgentID, Array]:
        import jax

        one_hot = jax.nn.one_hot(state, len(self.game.rho), dtype=np.float32)
        return dict.fromkeys(self.agents, one_hot)


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
        id = f"{id},horizon={horizon}"
    return SampledMarkovGame(load(name), num_games, horizon, id)


def _horizon(gamma: float) -> int:
    return math.floor(math.log(1e-3) / math.log(gamma)) + 1 if gamma > 1e-3 else 1


def _normalised(weight: np.ndarray) -> np.ndarray:
    return weight / weight.sum(axis=-1, keepdims=True)


def _check_rows(name: str, array: np.ndarray) -> None:
    total = array.sum(axis=-1)
    bad = (np.abs(total - 1) > ROW_TOLERANCE) | (array < 0).any(axis=-1)
    if bad.any():
        row = f"{name}{np.argwhere(bad)[0].tolist()}" if bad.ndim else name
        raise InputError(
            f"Markov game: {row} is no distribution: expected numbers >= 0 that sum to 1, "
            f"got {array[bad][0]} (sum {total[bad][0]:.9g})"
        )
