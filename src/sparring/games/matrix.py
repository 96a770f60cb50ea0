"""One-step zero-sum games: two agents choose at once, the payoff is paid, the match is over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparring.errors import InputError, unknown
from sparring.exact.markov_game import MarkovGame
from sparring.exact.payoffs import check_payoffs
from sparring.files import check_file
from sparring.types import AgentID, Array, Box, Discrete, Key, Spaces, Step, View

# The row player's payoffs [A, B]; the paper's Appendix C plays the first.
ROCK_PAPER_SCISSORS = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
MATCHING_PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])

MAX_BYTES = 16 * 2**20

_GAMES = {"rps": ROCK_PAPER_SCISSORS, "matching-pennies": MATCHING_PENNIES}


def as_markov(payoffs: np.ndarray) -> MarkovGame:
    """The Markov game of one state and discount 0 that the row player's payoffs [A, B] are: exact solvers read it.

    Raises:
      InputError: payoffs that are no finite matrix.
    """
    payoffs = _finite(payoffs, "payoffs")
    return MarkovGame(np.ones((1, *payoffs.shape, 1)), payoffs[None], np.ones(1), 0.0)


def load(path: Path | str) -> np.ndarray:
    """The row player's payoffs, float64 [A, B], from a file: an array `.npy`, or rows of numbers `.csv`.

    Raises:
      InputError: missing, too large, damaged, not real numbers, or no finite matrix.
    """
    path = Path(path)
    check_file(path, MAX_BYTES)
    try:
        if path.suffix == ".csv":
            payoffs = np.array([[float(cell) for cell in line.split(",")] for line in _lines(path)])
        else:
            with open(path, "rb") as file:
                payoffs = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as a matrix of numbers: {error}") from error
    if payoffs.dtype.kind not in "iuf":
        raise InputError(f"{path}: expected real numbers [A, B], got an array of {payoffs.dtype}")
    return _finite(payoffs, str(path))


class MatrixGame:
    """A `FunctionalGame` of one step: payoffs [A, B] go to "row", their negatives to "col".

    There is one state, so the observation is the constant 1 [B, 1]. Whose reward is positive wins.

    Raises:
      InputError: payoffs that are no finite matrix, or fewer than one match.
    """

    agents: tuple[AgentID, ...] = ("row", "col")
    TRACED, STATIC = ("payoffs",), ("num_games",)
    SOUND = True  # see `play.checks.is_sound`

    def __init__(self, payoffs: Array, num_games: int = 1, id: str = "matrix/custom") -> None:
        payoffs = _finite(payoffs, id)
        if num_games < 1:
            raise InputError(f"{id}: expected at least 1 match side by side, got {num_games}")
        self.id, self.num_games, self.payoffs = id, num_games, payoffs
        rows, columns = payoffs.shape
        observation = Box((1,), 0.0, 1.0)
        self.spaces: Mapping[AgentID, Spaces] = {
            "row": Spaces(observation, Discrete(rows)),
            "col": Spaces(observation, Discrete(columns)),
        }

    def init(self, key: Key) -> tuple[Any, Mapping[AgentID, View]]:
        """See `FunctionalGame.init`; the state is empty."""
        del key
        return (), self._views()

    def step(self, state: Any, actions: Mapping[AgentID, Array], key: Key) -> tuple[Any, Step]:
        """See `FunctionalGame.step`."""
        import jax.numpy as jnp

        del key
        payoff = jnp.asarray(self.payoffs, jnp.float32)[actions["row"], actions["col"]]
        result = jnp.sign(payoff).astype(jnp.int8)
        never = jnp.zeros(self.num_games, bool)
        return state, Step(
            view=self._views(),
            final_view=self._views(),
            reward={"row": payoff, "col": -payoff},
            terminated=~never,
            truncated=never,
            invalid=never,
            outcome={"row": result, "col": -result},
            info={},
        )

    def _views(self) -> dict[AgentID, View]:
        import jax.numpy as jnp

        return {agent: View(jnp.ones((self.num_games, 1), jnp.float32)) for agent in self.agents}


def names() -> tuple[str, ...]:
    """The games of this family, without its prefix `matrix/`."""
    return tuple(_GAMES)


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> MatrixGame:
    """The game `matrix/<name>`, or `matrix/FILE.npy` and `matrix/FILE.csv` (see `load`).

    Raises:
      InputError: an unknown name, a file that holds no payoffs, or an option (there are none).
    """
    del threads
    if options:
        raise InputError(f"matrix/{name}: unknown option {next(iter(options))!r}: matrix games have no options")
    if name not in _GAMES and not name.endswith((".npy", ".csv")):
        raise unknown("matrix game", name, [*_GAMES, "FILE.npy", "FILE.csv"])
    return MatrixGame(_GAMES[name] if name in _GAMES else load(name), num_games, f"matrix/{name}")


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _finite(payoffs: Array, what: str) -> np.ndarray:
    payoffs = np.array(payoffs, np.float64)
    if payoffs.ndim != 2 or not payoffs.size:
        raise InputError(f"{what}: expected payoffs [A, B], got shape {list(payoffs.shape)}")
    if (bad := ~np.isfinite(payoffs)).any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InputError(f"{what}: expected finite payoffs, got {payoffs[row, column]} in row {row}, column {column}")
    check_payoffs(payoffs, what)
    return payoffs
