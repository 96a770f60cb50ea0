"""One-step zero-sum games: two agents choose at once, the payoff is paid, the match is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError, unknown
from sparring.types import NO_WINNER, AgentID, Array, Discrete, Key, Spaces, Step

# The row player's payoffs [A, B]; the paper's Appendix C plays the first.
ROCK_PAPER_SCISSORS = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
MATCHING_PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])

_GAMES = {"rps": ROCK_PAPER_SCISSORS, "matching-pennies": MATCHING_PENNIES}


class MatrixGame:
    """A `FunctionalGame` of one step: payoffs [A, B] go to "row", their negatives to "col".

    There is one state, so the observation is the constant 1 [B, 1]. Whose reward is positive wins.

    Raises:
      InputError: payoffs that are no finite matrix, or fewer than one match.
    """

    agents: tuple[AgentID, ...] = ("row", "col")

    def __init__(self, payoffs: Array, num_games: int = 1, id: str = "matrix/custom") -> None:
        payoffs = np.array(payoffs, np.float64)
        if payoffs.ndim != 2 or not payoffs.size or not np.isfinite(payoffs).all():
            raise InputError(
                f"{id}: expected finite payoffs [A, B], got shape {list(payoffs.shape)} or a NaN/infinity in it"
            )
        if num_games < 1:
            raise InputError(f"{id}: expected at least 1 match side by side, got {num_games}")
        self.id, self.num_games, self.payoffs = id, num_games, payoffs
        rows, columns = payoffs.shape
        self.spaces: Mapping[AgentID, Spaces] = {
            "row": Spaces(1, Discrete(rows)),
            "col": Spaces(1, Discrete(columns)),
        }

    def init(self, key: Key) -> tuple[Any, Mapping[AgentID, Array]]:
        """See `FunctionalGame.init`; the state is empty."""
        del key
        return (), self._observation()

    def step(self, state: Any, actions: Mapping[AgentID, Array], key: Key) -> tuple[Any, Step]:
        """See `FunctionalGame.step`."""
        import jax.numpy as jnp

        del key
        payoff = jnp.asarray(self.payoffs, jnp.float32)[actions["row"], actions["col"]]
        winner = jnp.where(payoff > 0, 0, jnp.where(payoff < 0, 1, NO_WINNER)).astype(jnp.int8)
        never = jnp.zeros(self.num_games, bool)
        return state, Step(
            observation=self._observation(),
            reward={"row": payoff, "col": -payoff},
            terminated=~never,
            truncated=never,
            final_observation=self._observation(),
            winner=winner,
            invalid=never,
            info={},
        )

    def _observation(self) -> Mapping[AgentID, Array]:
        import jax.numpy as jnp

        return {agent: jnp.ones((self.num_games, 1), jnp.float32) for agent in self.agents}


def names() -> tuple[str, ...]:
    """The games of this family, without its prefix `matrix/`."""
    return tuple(_GAMES)


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> MatrixGame:
    """The game `matrix/<name>`.

    Raises:
      InputError: an unknown name, or an option (there are none).
    """
    del threads
    if name not in _GAMES:
        raise unknown("matrix game", name, _GAMES)
    if options:
        raise InputError(f"matrix/{name}: unknown option {next(iter(options))!r}: matrix games have no options")
    return MatrixGame(_GAMES[name], num_games, f"matrix/{name}")
