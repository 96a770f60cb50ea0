"""Single-agent tasks of Gymnasium as games of one agent, so that learners can be checked against known results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from sparring.errors import InputError, NoPicture
from sparring.games.gym_spaces import checked_actions, from_gymnasium, put, starts, to_ours
from sparring.types import AgentID, Array, Box, Discrete, MultiDiscrete, Spaces, Step, View

AGENT: AgentID = "player"


class GymnasiumGame:
    """A `VectorGame` over B copies of a Gymnasium task with one agent, "player", and no winner.

    Observations and actions are those of the task (`games.gym_spaces`); continuous actions are clipped to their bounds.
    A step that is both the end and the time limit counts as the end (DECISIONS 16).

    Args:
      name: of the task, as Gymnasium calls it.
      num_games: B.
      pictures: make the task in its render mode `rgb_array`, so that the game has `frame(match)`; see `with_pictures`.

    Raises:
      InputError: Gymnasium cannot make the task, its spaces are others, or fewer than one match.
    """

    agents: tuple[AgentID, ...] = (AGENT,)

    def __init__(self, name: str, num_games: int = 1, pictures: bool = False) -> None:
        import gymnasium
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        self.id = f"gymnasium/{name}"
        self.name = name
        self.num_games = num_games
        if num_games < 1:
            raise InputError(f"{self.id}: expected at least 1 match side by side, got {num_games}")
        try:
            mode: dict[str, Any] = {"render_mode": "rgb_array"} if pictures else {}  # not every task takes one
            self._tasks = SyncVectorEnv(
                [lambda: gymnasium.make(name, **mode)] * num_games, autoreset_mode=AutoresetMode.SAME_STEP
            )
        except gymnasium.error.Error as error:
            raise InputError(f"{self.id}: Gymnasium cannot make this task: {' '.join(str(error).split())}") from error
        observation, action = self._tasks.single_observation_space, self._tasks.single_action_space
        self._starts, self._theirs = starts(action), observation
        ours = from_gymnasium(action, f"{self.id}: actions")
        if not isinstance(ours, Box | Discrete | MultiDiscrete):
            raise InputError(f"{self.id}: actions: expected a Box, Discrete or MultiDiscrete space, got {action}")
        seen = from_gymnasium(observation, f"{self.id}: observations")
        self.spaces: Mapping[AgentID, Spaces] = {AGENT: Spaces(seen, ours)}
        if pictures:
            self.frame = self._frame  # a game without has none

    def with_pictures(self) -> GymnasiumGame:
        """The same game with `frame(match) -> uint8 [H, W, 3]`. Training is done without, which may be faster.

        Raises:
          NoPicture: the task has no render mode `rgb_array`, or what it draws with is not installed.
        """
        if "rgb_array" not in self._tasks.envs[0].metadata.get("render_modes", ()):
            raise NoPicture(f"no picture: {self.id} has no render mode rgb_array")
        with self._drawing():
            return GymnasiumGame(self.name, self.num_games, pictures=True)

    def _frame(self, match: int = 0) -> np.ndarray:
        with self._drawing():
            return np.asarray(self._tasks.envs[match].render())

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Whatever a task draws with may be missing, and says so in many ways."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise NoPicture(f"no picture: {self.id}: {reason}") from error

    def reset(self, seed: int) -> Mapping[AgentID, View]:
        """See `VectorGame.reset`; every match gets a seed of its own, spawned from `seed`."""
        children = np.random.SeedSequence(seed).spawn(self.num_games)
        observation, _ = self._tasks.reset(seed=[int(child.generate_state(1)[0]) for child in children])
        return {AGENT: View(self._seen(observation))}

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        """See `VectorGame.step`.

        Raises:
          InputError: actions of another shape.
        """
        space = self.spaces[AGENT].action
        action = checked_actions(space, actions[AGENT], self.num_games, f"{self.id}: actions")
        if isinstance(space, Box):
            action = np.clip(action, *space.bounds()).astype(space.dtype)
        else:
            action = action + self._starts
        following, reward, terminated, truncated, info = self._tasks.step(action)
        observation, final = self._seen(following), self._seen(following)
        for match in np.flatnonzero(terminated | truncated):
            put(final, int(match), self._seen(info["final_obs"][match]))
        return Step(
            view={AGENT: View(observation)},
            final_view={AGENT: View(final)},
            reward={AGENT: reward.astype(np.float32)},
            terminated=terminated,
            truncated=truncated & ~terminated,
            invalid=np.zeros(self.num_games, bool),
            outcome=None,
            info={},
        )

    def _seen(self, observation: Any) -> Any:
        """A copy in our space: floats as float32, tuples as dicts."""
        return to_ours(self._theirs, observation)

    def get_state(self) -> dict[str, np.ndarray]:
        """Not possible.

        Raises:
          InputError: always: Gymnasium has no way to read the state of an arbitrary task.
        """
        raise InputError(f"{self.id}: the state of a Gymnasium task cannot be saved: start the run anew to repeat it")

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, View]:
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
