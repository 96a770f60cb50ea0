from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from sparring.types import AgentID, Array, Box, Decision, Spaces, Step, View

How = Callable[[int, int], tuple[int, str]]


class Clock:
    """Match n of slot b lasts a known number of steps and ends in a known way; the observation is [slot, match, step].

    `how(slot, match)` is the length and "won" (by agent 0), "lost", "drawn", "timeout" or "broken".
    Agent x is paid its action, y is paid 1; a broken match's last reward is NaN.
    """

    id: str = "test/clock"
    agents: tuple[AgentID, ...] = ("x", "y")

    def __init__(self, num_games: int, how: How) -> None:
        self.num_games, self.how = num_games, how
        self.spaces: Mapping[AgentID, Spaces] = dict.fromkeys(self.agents, Spaces(Box((3,)), Box((1,), -1.0, 1.0)))
        self.match, self.time = np.zeros(num_games, int), np.zeros(num_games, int)

    def _views(self) -> dict[str, View]:
        seen = np.stack([np.arange(self.num_games), self.match, self.time], axis=1).astype(np.float32)
        return {agent: View(seen.copy()) for agent in self.agents}

    def reset(self, seed: int) -> dict[str, View]:
        self.match[:] = self.time[:] = 0
        return self._views()

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        self.time += 1
        kinds = [self.how(b, int(self.match[b])) for b in range(self.num_games)]
        how = np.array([kind if t == length else "" for t, (length, kind) in zip(self.time, kinds, strict=True)])
        final = self._views()
        over = how != ""
        self.match, self.time = self.match + over, np.where(over, 0, self.time)
        broken = how == "broken"
        result = np.select([how == "won", how == "lost"], [1, -1], 0).astype(np.int8)
        return Step(
            view=self._views(),
            final_view=final,
            reward={
                "x": np.where(broken, np.nan, actions["x"][:, 0]).astype(np.float32),
                "y": np.ones(self.num_games, np.float32),
            },
            terminated=np.isin(how, ["won", "lost", "drawn"]),
            truncated=how == "timeout",
            invalid=broken,
            outcome={"x": result, "y": -result},
            info={"time": {agent: self.time.astype(np.float32) for agent in self.agents}},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        return {"match": self.match.copy(), "time": self.time.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, View]:
        self.match, self.time = state["match"].copy(), state["time"].copy()
        return self._views()

    def close(self) -> None: ...


class Tally:
    """A host policy whose state and action are the match's steps so far; its value is 10 times the observed time."""

    traceable = False

    def initial_state(self, batch: int) -> np.ndarray:
        return np.zeros(batch, np.int32)

    def act(self, key: Any, view: View, state: Any) -> Decision:
        value = 10 * np.asarray(view.observation)[:, 2]
        return Decision(state[:, None].astype(np.float32), state + 1, np.full(len(state), -1.0, np.float32), value)


def endings(slot: int, match: int) -> tuple[int, str]:
    return [(2, "won"), (3, "timeout"), (1, "broken"), (2, "lost")][(slot + match) % 4]


@pytest.fixture(scope="session")
def clock() -> Callable[..., Clock]:
    """`clock(num_games, how)`: a game of known matches; by default they go round all ways to end."""
    return lambda num_games, how=endings: Clock(num_games, how)


@pytest.fixture(scope="session")
def tally() -> Tally:
    return Tally()
