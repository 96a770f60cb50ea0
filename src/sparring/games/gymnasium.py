"""Single-agent tasks of Gymnasium as games of one agent, so that learners can be checked against known results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.errors import InputError
from sparring.types import NO_WINNER, AgentID, Array, Continuous, Discrete, Spaces, Step

AGENT: AgentID = "player"


class GymnasiumGame:
    """A `VectorGame` over B copies of a Gymnasium task with one agent, "player", and no winner.

    Observations must be vectors of floats; actions discrete, or a box with the same finite bounds in every dimension,
    to which they are clipped. A step that is both the end and the time limit counts as the end (DECISIONS 16).

    Raises:
      InputError: Gymnasium cannot make the task, its spaces are others, or fewer than one match.
    """

    agents: tuple[AgentID, ...] = (AGENT,)

    def __init__(self, name: str, num_games: int = 1) -> None:
        import gymnasium
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        self.id = f"gymnasium/{name}"
        self.num_games = num_games
        if num_games < 1:
            raise InputError(f"{self.id}: expected at least 1 match side by side, got {num_games}")
        try:
            self._tasks = SyncVectorEnv(
                [lambda: gymnasium.make(name)] * num_games, autoreset_mode=AutoresetMode.SAME_STEP
            )
        except gymnasium.error.Error as error:
            raise InputError(f"{self.id}: Gymnasium cannot make this task: {' '.join(str(error).split())}") from error
        observation, action = self._tasks.single_observation_space, self._tasks.single_action_space
        self._first_action = int(action.start) if isinstance(action, gymnasium.spaces.Discrete) else 0
        self.spaces: Mapping[AgentID, Spaces] = {AGENT: Spaces(_size(self.id, observation), _action(self.id, action))}

    def reset(self, seed: int) -> Mapping[AgentID, Array]:
        """See `VectorGame.reset`; every match gets a seed of its own, spawned from `seed`."""
        children = np.random.SeedSequence(seed).spawn(self.num_games)
        observation, _ = self._tasks.reset(seed=[int(child.generate_state(1)[0]) for child in children])
        return {AGENT: np.asarray(observation, np.float32)}

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        """See `VectorGame.step`.

        Raises:
          InputError: actions of another shape.
        """
        space, action = self.spaces[AGENT].action, np.asarray(actions[AGENT])
        shape = (self.num_games, space.size) if isinstance(space, Continuous) else (self.num_games,)
        if action.shape != shape:
            raise InputError(f"{self.id}: expected actions of shape {list(shape)}, got {list(action.shape)}")
        if isinstance(space, Continuous):
            action = np.clip(action, space.low, space.high).astype(self._tasks.single_action_space.dtype)
        else:
            action = action + self._first_action
        following, reward, terminated, truncated, info = self._tasks.step(action)
        observation = np.array(following, np.float32)
        final = observation.copy()
        for match in np.flatnonzero(terminated | truncated):
            final[match] = info["final_obs"][match]
        return Step(
            observation={AGENT: observation},
            reward={AGENT: reward.astype(np.float32)},
            terminated=terminated,
            truncated=truncated & ~terminated,
            final_observation={AGENT: final},
            winner=np.full(self.num_games, NO_WINNER, np.int8),
            invalid=np.zeros(self.num_games, bool),
            info={},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        """Not possible.

        Raises:
          InputError: always: Gymnasium has no way to read the state of an arbitrary task.
        """
        raise InputError(f"{self.id}: the state of a Gymnasium task cannot be saved: start the run anew to repeat it")

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, Array]:
        """Not possible.

        Raises:
          InputError: always, as `get_state`.
        """
        raise InputError(f"{self.id}: the state of a Gymnasium task cannot be set: start the run anew to repeat it")

    def close(self) -> None:
        self._tasks.close()


def names() -> tuple[str, ...]:
    """The tasks that need nothing but Gymnasium itself; `make` takes any other one that is installed."""
    return ("Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> GymnasiumGame:
    """The game `gymnasium/<name>`.

    Raises:
      InputError: as `GymnasiumGame`, or an option (there are none).
    """
    del threads
    if options:
        raise InputError(f"gymnasium/{name}: unknown option {next(iter(options))!r}: Gymnasium tasks have no options")
    return GymnasiumGame(name, num_games)


def _size(id: str, space: Any) -> int:
    import gymnasium

    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        return space.shape[0]
    raise InputError(f"{id}: expected observations that are vectors of floats, got {_one_line(space)}")


def _action(id: str, space: Any) -> Discrete | Continuous:
    import gymnasium

    if isinstance(space, gymnasium.spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        low, high = space.low, space.high
        if np.isfinite([low, high]).all() and (low == low[0]).all() and (high == high[0]).all():
            return Continuous(space.shape[0], float(low[0]), float(high[0]))
    raise InputError(
        f"{id}: expected discrete actions or a box with the same finite bounds in every dimension, "
        f"got {_one_line(space)}: wrap the task in gymnasium.wrappers.RescaleAction"
    )


def _one_line(space: Any) -> str:
    return " ".join(str(space).split())
