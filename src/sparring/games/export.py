"""Games as PettingZoo environments, for other libraries' learners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from sparring.errors import InputError, NoPicture
from sparring.games import make
from sparring.games.gym_spaces import to_gymnasium
from sparring.games.hosted import hosted
from sparring.games.pictures import drawable
from sparring.policies import check_action
from sparring.types import AgentID, VectorGame, View


def make_parallel_env(game_id: str, render_mode: str | None = None) -> ParallelEnv:
    """One match at a time of a game, under PettingZoo's parallel interface.

    A match with broken physics is truncated with `info["invalid"]`; `info["won"]` tells who has won,
    `info["action_mask"]` which actions are legal (int8, where not all are), `info["moves"]` whether the agent moves in
    a game of turns, and the other entries are the game's named terms. What an agent does where it does not move is not
    looked at, an illegal action where it does is refused. A match that ended stays ended: the next one starts with
    `reset`.

    Args:
      game_id: see `games.make`.
      render_mode: "rgb_array", if the game can draw; None for no pictures.

    Raises:
      InputError: an unknown game or mode.
    """
    made = make(game_id, num_games=1, threads=1)
    if render_mode not in (None, "rgb_array"):
        raise InputError(
            f"{game_id}: expected render_mode None or, if the game can draw, rgb_array; got {render_mode!r}"
        )
    if render_mode is not None:
        try:
            made = drawable(made)
        except NoPicture as reason:
            raise InputError(f"{game_id}: expected render_mode None: {reason}") from None
    game = hosted(made)
    return _GameEnv(game, render_mode)


class _GameEnv(ParallelEnv[AgentID, np.ndarray, Any]):
    def __init__(self, game: VectorGame, render_mode: str | None) -> None:
        self.metadata = {"name": game.id, "render_modes": ["rgb_array"] if hasattr(game, "frame") else []}
        self.render_mode = render_mode
        self.possible_agents = list(game.agents)
        self.agents: list[AgentID] = []
        self.observation_spaces = {a: to_gymnasium(s.observation) for a, s in game.spaces.items()}
        self.action_spaces = {a: to_gymnasium(s.action) for a, s in game.spaces.items()}
        self._game = game
        self._rng = np.random.default_rng()
        self._views: Mapping[AgentID, View] = {}

    def observation_space(self, agent: AgentID) -> Any:
        return self.observation_spaces[agent]

    def action_space(self, agent: AgentID) -> Any:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        del options
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._views = views = self._game.reset(int(self._rng.integers(2**63)))
        self.agents = list(self.possible_agents)
        return {a: _first(views[a].observation) for a in self.agents}, {a: _mask(views[a]) for a in self.agents}

    def step(self, actions: Mapping[AgentID, Any]) -> tuple[dict, dict, dict, dict, dict]:
        if not self.agents:
            raise InputError(f"{self._game.id}: the match is over; call reset first")
        if strange := [agent for agent in actions if agent not in self.agents]:
            raise InputError(f"{self._game.id}: an action for {strange[0]}, which does not play (any more)")
        batch = {}
        for agent in self.agents:
            if agent not in actions:
                raise InputError(f"{self._game.id}: no action for {agent}")
            batch[agent] = np.asarray(actions[agent])[None]
            legal, moves = self._views[agent].legal, self._views[agent].moves
            if moves is not None and not moves[0]:
                legal = None
            check_action(batch[agent], self._game.spaces[agent].action, f"{self._game.id}: {agent}", legal)
        step = self._game.step(batch)
        self._views = step.view
        terminated, truncated, invalid = bool(step.terminated[0]), bool(step.truncated[0]), bool(step.invalid[0])
        agents = self.agents
        if terminated or truncated or invalid:
            self.agents = []
        infos = {
            a: {name: float(values[a][0]) for name, values in step.info.items()}
            | {"invalid": invalid, "won": step.outcome is not None and bool(step.outcome[a][0] == 1)}
            | _mask(step.final_view[a])
            for a in agents
        }
        return (
            {a: _first(step.final_view[a].observation) for a in agents},
            {a: float(step.reward[a][0]) for a in agents},
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated or invalid),
            infos,
        )

    def render(self) -> np.ndarray | None:
        """The match now; after its end, the first moment of the next one."""
        frame = getattr(self._game, "frame", None)  # not every vector game can draw
        return frame(0) if frame is not None and self.render_mode == "rgb_array" else None

    def close(self) -> None:
        self._game.close()


def _first(observation: Any) -> Any:
    """The first match's observation."""
    if isinstance(observation, dict):
        return {name: _first(part) for name, part in observation.items()}
    return observation[0]


def _mask(view: View) -> dict[str, Any]:
    """Which actions are legal (int8, as Gymnasium's `sample` takes it), and whether the agent moves at all."""
    mask = {} if view.legal is None else {"action_mask": np.asarray(view.legal)[0].astype(np.int8)}
    return mask if view.moves is None else mask | {"moves": bool(np.asarray(view.moves)[0])}
