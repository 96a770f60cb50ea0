"""Pursuit on a grid: one hunter against two prey. A game on the host with images, masks, and agents that drop out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparring.errors import InputError
from sparring.types import AgentID, Array, Box, Dict, Discrete, Spaces, Step, View

# '#' is a wall. The border is one, so that nobody leaves the grid.
MAP = """
#######
#.....#
#.##..#
#..#..#
#..#..#
#.....#
#######
"""
WALLS = np.array([[cell == "#" for cell in line] for line in MAP.split()])
SIZE = len(WALLS)
MOVES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # stay, up, down, left, right: rows and columns
LIMIT = 30  # steps

AGENTS = ("hunter", "prey0", "prey1")
OBSERVATION = Dict((("image", Box((SIZE, SIZE, 3), 0, 255, "uint8")), ("position", Box((9,), -1.0, 1.0))))


class Pursuit:
    """A `VectorGame`: the hunter catches a prey by meeting it, in one cell or on the way between two.

    Everybody moves at once, and into walls nobody may move. A prey that is caught is out: it loses, moves no more, has
    no legal action, and the match goes on with the other one. The hunter wins when both are caught. At the time limit,
    which everybody sees coming, the match is decided too: the hunter loses, and a prey that is left wins.
    A catch pays the hunter 1 and costs the prey 1.

    Observations are a dict. `image`, uint8 [7, 7, 3]: walls, the agent's own cell and the other side's cells as 255 in
    a channel each. `position` [9]: row and column of the hunter and of both prey, scaled to [-1, 1]; whether each
    prey is still free; the share of time that is left.
    """

    def __init__(self, num_games: int = 1) -> None:
        self.id = "envs.pursuit:pursuit"
        self.agents: tuple[AgentID, ...] = AGENTS
        self.num_games = num_games
        self.spaces: Mapping[AgentID, Spaces] = dict.fromkeys(AGENTS, Spaces(OBSERVATION, Discrete(len(MOVES))))
        self._free_cells = np.argwhere(~WALLS)
        self.reset(0)

    def reset(self, seed: int) -> dict[AgentID, View]:
        matches = self.num_games
        self._seed, self._match = seed, np.zeros(matches, np.int64)
        self._cell = np.zeros((matches, 3, 2), np.int64)
        self._free = np.ones((matches, 2), bool)
        self._time = np.zeros(matches, np.int64)
        for slot in range(matches):
            self._begin(slot)
        return self._views()

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        before, free_before = self._cell.copy(), self._free.copy()
        chosen = np.stack([np.asarray(actions[agent]) for agent in self.agents], axis=1)
        legal, moves = self._legal(), self._moving()
        if not np.take_along_axis(legal, chosen[..., None], axis=2)[..., 0][moves].all():
            raise InputError(f"{self.id}: an agent walks into a wall: see View.legal")
        self._cell += np.where(moves[..., None], MOVES[chosen], 0)
        self._time += 1
        hunter, prey = self._cell[:, :1], self._cell[:, 1:]
        same = (hunter == prey).all(axis=2)
        crossed = (hunter == before[:, 1:]).all(axis=2) & (before[:, :1] == prey).all(axis=2)
        caught = self._free & (same | crossed)
        self._free &= ~caught
        over = ~self._free.any(axis=1) | (self._time >= LIMIT)
        left = np.where(self._free, 1, -1)
        outcome = np.concatenate([np.where(self._free.any(axis=1, keepdims=True), -1, 1), left], axis=1)
        outcome = np.where(over[:, None], outcome, 0).astype(np.int8)
        reward = np.concatenate([caught.sum(axis=1, keepdims=True), -caught.astype(int)], axis=1).astype(np.float32)
        final = self._views()
        for slot in np.flatnonzero(over).tolist():
            self._match[slot] += 1
            self._begin(slot)
        never = np.zeros(self.num_games, bool)
        return Step(
            view=self._views(),
            final_view=final,
            reward={agent: reward[:, k].copy() for k, agent in enumerate(self.agents)},
            terminated=over,
            truncated=never,
            invalid=never.copy(),
            outcome={agent: outcome[:, k].copy() for k, agent in enumerate(self.agents)},
            info={"free": {agent: free_before.sum(axis=1).astype(np.float32) for agent in self.agents}},
        )

    def get_state(self) -> dict[str, np.ndarray]:
        return {
            "seed": np.array(self._seed, np.int64),
            "match": self._match.copy(),
            "cell": self._cell.copy(),
            "free": self._free.copy(),
            "time": self._time.copy(),
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> dict[AgentID, View]:
        self._seed = int(state["seed"])
        self._match, self._cell = state["match"].copy(), state["cell"].copy()
        self._free, self._time = state["free"].copy(), state["time"].copy()
        return self._views()

    def close(self) -> None:
        """Nothing is held open."""

    def _begin(self, slot: int) -> None:
        """Three different cells, drawn by the seed, the slot and how many matches it has had."""
        rng = np.random.default_rng([self._seed, slot, int(self._match[slot])])
        self._cell[slot] = rng.choice(self._free_cells, 3, replace=False)
        self._free[slot], self._time[slot] = True, 0

    def _moving(self) -> np.ndarray:
        return np.concatenate([np.ones((self.num_games, 1), bool), self._free], axis=1)

    def _legal(self) -> np.ndarray:
        """bool [B, 3, 5]."""
        to = self._cell[:, :, None] + MOVES
        return ~WALLS[to[..., 0], to[..., 1]] & self._moving()[..., None]

    def _views(self) -> dict[AgentID, View]:
        matches = np.arange(self.num_games)
        moving, legal = self._moving(), self._legal()
        scaled = self._cell.reshape(self.num_games, 6) / (SIZE - 1) * 2 - 1
        left = 1 - self._time[:, None] / LIMIT
        position = np.concatenate([scaled, self._free, left], axis=1).astype(np.float32)
        views = {}
        for own, agent in enumerate(self.agents):
            image = np.zeros((self.num_games, SIZE, SIZE, 3), np.uint8)
            image[..., 0] = 255 * WALLS
            image[matches, self._cell[:, own, 0], self._cell[:, own, 1], 1] = 255
            for other in (1, 2) if own == 0 else (0,):
                seen = np.where(moving[:, other], 255, 0)
                image[matches, self._cell[:, other, 0], self._cell[:, other, 1], 2] |= seen.astype(np.uint8)
            observation = {"image": image, "position": position.copy()}
            views[agent] = View(observation, legal[:, own].copy(), moving[:, own].copy())
        return views


def pursuit(num_games: int = 1) -> Pursuit:
    return Pursuit(num_games)
