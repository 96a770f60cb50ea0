"""A game of one's own: a chaser tries to catch a runner on a small board. See docs/own-game.md.

    sparring audit examples.own_game:make --victim examples.own_game:runner --benign random --steps 60000

The board has 7 x 7 fields. Both move at once, one field in one of four directions or not at all; whoever stands at the
edge cannot move across it. The runner earns 1 for every step. The chaser wins when both are on one field or have
changed places; after 25 steps the runner wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.types import Box, Discrete, Spaces, Step, View

SIZE, LIMIT = 7, 25
MOVES = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])


class Tag:
    """B matches of the game, stepped together: a `sparring.types.VectorGame`."""

    agents = ("runner", "chaser")

    def __init__(self, num_games: int) -> None:
        self.id = "tag"
        self.num_games = num_games
        # What an agent sees: its own field and the other's, each coordinate from 0 to 1.
        self.spaces = {agent: Spaces(Box((4,), 0.0, 1.0), Discrete(len(MOVES))) for agent in self.agents}
        self.seed = 0
        self.episode = np.zeros(num_games, np.int64)
        self.steps = np.zeros(num_games, np.int64)
        self.place = np.zeros((num_games, 2, 2), np.int64)  # of the runner, of the chaser

    def reset(self, seed: int) -> dict[str, View]:
        self.seed = seed
        self.episode[:] = 0
        self._begin(np.arange(self.num_games))
        return self._views()

    def step(self, actions: Mapping[str, Any]) -> Step:
        before = self.place.copy()
        for player, agent in enumerate(self.agents):
            self.place[:, player] = np.clip(self.place[:, player] + MOVES[np.asarray(actions[agent])], 0, SIZE - 1)
        self.steps += 1
        runner, chaser = self.place[:, 0], self.place[:, 1]
        swapped = (runner == before[:, 1]).all(axis=1) & (chaser == before[:, 0]).all(axis=1)
        caught = (runner == chaser).all(axis=1) | swapped
        late = (self.steps >= LIMIT) & ~caught
        reward = np.where(caught, 0, 1).astype(np.float32)
        result = np.int8(late) - np.int8(caught)  # the runner's: 1 won, -1 lost, 0 the match goes on
        last = self._views()
        ended = np.flatnonzero(caught | late)
        self.episode[ended] += 1
        self._begin(ended)
        return Step(
            view=self._views(),  # of matches that ended: the first view of the next match
            final_view=last,
            reward={"runner": reward, "chaser": -reward},
            terminated=caught | late,  # the match is decided; `truncated` is for matches that are merely cut off
            truncated=np.zeros(self.num_games, bool),
            invalid=np.zeros(self.num_games, bool),
            outcome={"runner": result, "chaser": -result},  # None, if nobody ever wins
            info={},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that decides how the matches go on. A game that cannot be saved raises `InputError` here."""
        counters = {"seed": np.array(self.seed), "episode": self.episode.copy(), "steps": self.steps.copy()}
        return {**counters, "place": self.place.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[str, View]:
        self.seed = int(state["seed"])
        self.episode, self.steps, self.place = (np.array(state[name]) for name in ("episode", "steps", "place"))
        return self._views()

    def close(self) -> None:
        """Nothing is held open."""

    def _begin(self, matches: np.ndarray) -> None:
        """Every match draws from a generator of its own, so that it does not depend on those beside it."""
        self.steps[matches] = 0
        for match in matches:
            sequence = np.random.SeedSequence(self.seed, spawn_key=(int(match), int(self.episode[match])))
            rng = np.random.default_rng(sequence)
            self.place[match] = [rng.integers(0, 3, 2), rng.integers(4, SIZE, 2)]

    def _views(self) -> dict[str, View]:
        views = {}
        for player, agent in enumerate(self.agents):
            seen = np.concatenate([self.place[:, player], self.place[:, 1 - player]], axis=1) / (SIZE - 1)
            target = self.place[:, player, None] + MOVES  # [B, 5, 2]
            views[agent] = View(seen.astype(np.float32), legal=((target >= 0) & (target < SIZE)).all(axis=2))
        return views


def make(num_games: int) -> Tag:
    """What `examples.own_game:make` means on the command line."""
    return Tag(num_games)


def runner(spaces: Spaces) -> Any:
    """A victim as a function: it rests in one step of three, and else goes where the chaser is farthest."""

    def act(observation: np.ndarray, rng: np.random.Generator, legal: np.ndarray) -> np.ndarray:
        own, other = np.rint(observation.reshape(-1, 2, 2) * (SIZE - 1)).transpose(1, 0, 2)
        distance = np.abs(own[:, None] + MOVES - other[:, None]).sum(axis=2)
        away = np.where(legal, distance, -1).argmax(axis=1)
        return np.where(rng.random(len(away)) < 1 / 3, 0, away)

    return act
