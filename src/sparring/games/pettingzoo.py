"""Environments of PettingZoo as games: `pettingzoo/MODULE`, parallel ones and those of turns.

Every match is an environment of its own. Agents that drop out, or come late, do not move, see zeros and are paid
nothing while they are away. Nobody wins: such games are judged by returns.
"""

from __future__ import annotations

import ast
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from sparring.errors import InputError, NoPicture, foreign
from sparring.games.gym_spaces import blank, checked_actions, from_gymnasium, put, to_ours, to_theirs
from sparring.types import AgentID, Array, Box, Discrete, MultiDiscrete, Spaces, Step, View

MASK = "action_mask"
EXAMPLES = ("mpe2.simple_push_v3", "mpe2.simple_tag_v3", "mpe2.simple_spread_v3")


class _Moment(NamedTuple):
    """One match after a step, by agent; an agent that is away is in none of the mappings."""

    seen: Mapping[AgentID, Any]  # the environment's own observations
    masks: Mapping[AgentID, Any]
    moves: frozenset[AgentID]
    rewards: Mapping[AgentID, float]
    terminated: bool
    truncated: bool


class _Match(Protocol):
    """An environment, one match after the other."""

    env: Any

    def start(self, seed: int) -> _Moment: ...

    def step(self, actions: Mapping[AgentID, Any]) -> _Moment: ...


class _Parallel:
    def __init__(self, env: Any) -> None:
        self.env = env

    def start(self, seed: int) -> _Moment:
        seen, infos = self.env.reset(seed=seed)
        return _moment(seen, infos, self.env.agents, {}, {}, {})

    def step(self, actions: Mapping[AgentID, Any]) -> _Moment:
        playing = list(self.env.agents)
        seen, rewards, terminated, truncated, infos = self.env.step({agent: actions[agent] for agent in playing})
        over = not self.env.agents or all(terminated[a] or truncated[a] for a in self.env.agents)
        return _moment(seen, infos, self.env.agents, rewards, terminated if over else {}, truncated if over else {})


class _Turns:
    def __init__(self, env: Any) -> None:
        self.env = env

    def start(self, seed: int) -> _Moment:
        self.env.reset(seed=seed)
        return self._now({}, {}, {})

    def step(self, actions: Mapping[AgentID, Any]) -> _Moment:
        env = self.env
        env.step(actions[env.agent_selection])
        rewards, terminated, truncated = dict(env.rewards), dict(env.terminations), dict(env.truncations)
        # Who has dropped out takes a last turn, in which nothing happens; it is not one of the match's.
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            env.step(None)
        over = not env.agents
        return self._now(rewards, terminated if over else {}, truncated if over else {}, terminated)

    def _now(self, rewards: Any, terminated: Any, truncated: Any, known: Any = ()) -> _Moment:
        env = self.env
        there = list(env.agents) or list(known)  # at the end everybody sees how it ended
        seen = {agent: env.observe(agent) for agent in there}
        moves = [env.agent_selection] if env.agents else []
        return _moment(seen, env.infos, moves, rewards, terminated, truncated)


def _moment(seen: Any, infos: Any, moves: Any, rewards: Any, terminated: Any, truncated: Any) -> _Moment:
    masks = {}
    for agent, observation in seen.items():
        inside = observation.get(MASK) if isinstance(observation, Mapping) else None
        mask = infos.get(agent, {}).get(MASK) if inside is None else inside
        if mask is not None:
            masks[agent] = np.asarray(mask)
    decided = any(terminated.values())
    return _Moment(
        {agent: observation for agent, observation in seen.items() if observation is not None},
        masks,
        frozenset(moves),
        {agent: float(reward) for agent, reward in rewards.items()},
        decided,
        bool(terminated or truncated) and not decided,
    )


class PettingZooGame:
    """A `VectorGame` over B environments of PettingZoo's.

    Observations and actions are the environment's own (`games.gym_spaces`); continuous actions are clipped to their
    bounds. A mask of legal actions is read from the observation or from the agent's info, under `action_mask`. A match
    is over when no agent is left; where one of the last was terminated it is decided, else cut off.

    Args:
      id: of the game.
      maker: makes one environment, parallel or of turns; it is called B times, with the keyword `render_mode` for
        pictures alone.
      num_games: B.
      pictures: make environments that can be drawn.

    Raises:
      InputError: the maker fails or makes something else, an environment that does not say who can take part
        (`possible_agents`), spaces of another kind, or fewer than one match.
    """

    def __init__(self, id: str, maker: Callable[..., Any], num_games: int = 1, pictures: bool = False) -> None:
        self.id, self._maker, self.num_games = id, maker, num_games
        if num_games < 1:
            raise InputError(f"{id}: expected at least 1 match side by side, got {num_games}")
        mode: dict[str, Any] = {"render_mode": "rgb_array"} if pictures else {}
        self._matches: list[_Match] = []
        for _ in range(num_games):
            with self._theirs("a function that makes an environment", getattr(maker, "func", maker)):
                try:
                    env = maker(**mode)
                except TypeError as error:  # an option that it does not have
                    raise InputError(f"{id}: it cannot be made: {' '.join(str(error).split())}") from error
            self._matches.append(_match(id, env))
        env = self._matches[0].env
        with self._theirs("an environment that lists its possible_agents"):
            self.agents: tuple[AgentID, ...] = tuple(map(str, env.possible_agents))
        if len(set(self.agents)) < len(self.agents) or not self.agents:
            raise InputError(f"{id}: expected possible_agents, all different, got {list(self.agents)}")
        self._named = dict(zip(self.agents, env.possible_agents, strict=True))
        self.spaces: Mapping[AgentID, Spaces] = {agent: self._spaces_of(env, agent) for agent in self.agents}
        self._masked: frozenset[AgentID] | None = None  # known when the first match begins
        self._seeds = [np.random.default_rng(k) for k in range(num_games)]
        self._now: list[_Moment] = []
        if pictures:
            self.frame = self._frame  # a game without has none

    def _spaces_of(self, env: Any, agent: AgentID) -> Spaces:
        with self._theirs("observation_space and action_space of every agent"):
            observation, action = (getattr(env, kind)(self._named[agent]) for kind in _SPACES)
        ours = from_gymnasium(action, f"{self.id}: actions of {agent}")
        if not isinstance(ours, Box | Discrete | MultiDiscrete):
            raise InputError(
                f"{self.id}: actions of {agent}: expected a Box, Discrete or MultiDiscrete space, got {action}"
            )
        return Spaces(from_gymnasium(observation, f"{self.id}: observations of {agent}"), ours)

    @contextmanager
    def _theirs(self, expected: str = "", source: Any = None) -> Iterator[None]:
        with foreign(self.id, expected, source):
            yield

    def reset(self, seed: int) -> Mapping[AgentID, View]:
        """See `VectorGame.reset`; every match, and each that follows it, gets a seed spawned from `seed`."""
        children = np.random.SeedSequence(seed).spawn(self.num_games)
        self._seeds = [np.random.default_rng(child) for child in children]
        self._now = [self._started(b) for b in range(self.num_games)]
        self._masked = frozenset().union(*(moment.masks for moment in self._now))
        return self._views(self._now)

    def step(self, actions: Mapping[AgentID, Array]) -> Step:
        """See `VectorGame.step`.

        Raises:
          InputError: it has not begun, actions of another shape, or the environment fails.
        """
        if not self._now:
            raise InputError(f"{self.id}: call reset before step")
        given = {agent: self._checked(agent, actions[agent]) for agent in self.agents}
        rewards = {agent: np.zeros(self.num_games, np.float32) for agent in self.agents}
        terminated, truncated = np.zeros((2, self.num_games), bool)
        final: list[_Moment] = []
        for b, match in enumerate(self._matches):
            with self._theirs():
                moment = match.step({self._named[agent]: given[agent][b] for agent in self._now[b].moves})
            moment = self._ours(moment)
            for agent, reward in moment.rewards.items():
                rewards[agent][b] = reward
            terminated[b], truncated[b] = moment.terminated, moment.truncated
            final.append(moment)
            self._now[b] = self._started(b) if moment.terminated or moment.truncated else moment
        return Step(
            view=self._views(self._now),
            final_view=self._views(final),
            reward=rewards,
            terminated=terminated,
            truncated=truncated,
            invalid=np.zeros(self.num_games, bool),
            outcome=None,
            info={},
        )

    def _started(self, b: int) -> _Moment:
        with self._theirs():
            moment = self._matches[b].start(int(self._seeds[b].integers(2**31)))
        if not moment.moves:
            raise InputError(f"{self.id}: expected that somebody moves when a match begins, got no agents")
        return self._ours(moment)

    def _ours(self, moment: _Moment) -> _Moment:
        """By our names of agents, which are text."""
        if strange := {str(agent) for agent in (*moment.seen, *moment.moves)} - set(self.agents):
            raise InputError(f"{self.id}: {min(strange)} takes part, and is none of its possible_agents")
        return moment._replace(
            seen={str(agent): seen for agent, seen in moment.seen.items()},
            masks={str(agent): mask for agent, mask in moment.masks.items()},
            moves=frozenset(map(str, moment.moves)),
            rewards={str(agent): reward for agent, reward in moment.rewards.items()},
        )

    def _checked(self, agent: AgentID, actions: Array) -> list[Any]:
        """An agent's actions as the environment takes them."""
        space, what = self.spaces[agent].action, f"{self.id}: actions of {agent}"
        actions = checked_actions(space, actions, self.num_games, what)
        theirs = self._matches[0].env.action_space(self._named[agent])
        return [to_theirs(theirs, action) for action in actions]

    def _views(self, moments: list[_Moment]) -> dict[AgentID, View]:
        assert self._masked is not None
        views = {}
        env = self._matches[0].env
        for agent in self.agents:
            space = env.observation_space(self._named[agent])
            observation = blank(self.spaces[agent].observation, self.num_games)
            moves = np.array([agent in moment.moves for moment in moments])
            for b, moment in enumerate(moments):
                if agent in moment.seen:
                    put(observation, b, to_ours(space, moment.seen[agent]))
            views[agent] = View(observation, self._legal(agent, moments), moves)
        return views

    def _legal(self, agent: AgentID, moments: list[_Moment]) -> np.ndarray | None:
        """Which actions are legal, bool [B, n]: all of them where the agent does not move."""
        assert self._masked is not None
        action = self.spaces[agent].action
        if agent not in self._masked:
            if any(agent in moment.masks for moment in moments):
                raise InputError(f"{self.id}: {agent} has an action_mask that it did not have when matches began")
            return None
        if not isinstance(action, Discrete):
            raise InputError(f"{self.id}: {agent} has an action_mask: expected a Discrete action space, got {action}")
        legal = np.ones((self.num_games, action.n), bool)
        for b, moment in enumerate(moments):
            if agent in moment.moves and agent in moment.masks:
                if np.shape(moment.masks[agent]) != (action.n,):
                    shape = list(np.shape(moment.masks[agent]))
                    raise InputError(f"{self.id}: action_mask of {agent}: expected {action.n} entries, got {shape}")
                legal[b] = moment.masks[agent].astype(bool)
        return legal

    def with_pictures(self) -> PettingZooGame:
        """The same game with `frame(match) -> uint8 [H, W, 3]`.

        Raises:
          NoPicture: the environment has no render mode `rgb_array`, or what it draws with is not installed.
        """
        if "rgb_array" not in getattr(self._matches[0].env, "metadata", {}).get("render_modes", ()):
            raise NoPicture(f"no picture: {self.id} has no render mode rgb_array")
        try:
            return PettingZooGame(self.id, self._maker, self.num_games, pictures=True)
        except InputError as error:
            raise NoPicture(f"no picture: {error}") from error

    def _frame(self, match: int = 0) -> np.ndarray:
        try:
            with self._theirs():
                return np.asarray(self._matches[match].env.render())
        except InputError as error:
            raise NoPicture(f"no picture: {error}") from error

    def get_state(self) -> dict[str, np.ndarray]:
        """Not possible.

        Raises:
          InputError: always: PettingZoo has no way to read the state of an arbitrary environment.
        """
        raise InputError(f"{self.id}: the state of an environment of PettingZoo cannot be saved: start the run anew")

    def set_state(self, state: Mapping[str, np.ndarray]) -> Mapping[AgentID, View]:
        """Not possible.

        Raises:
          InputError: always, as `get_state`.
        """
        raise InputError(f"{self.id}: the state of an environment of PettingZoo cannot be set: start the run anew")

    def close(self) -> None:
        for match in self._matches:
            match.env.close()


_SPACES = ("observation_space", "action_space")


def _match(id: str, env: Any) -> _Match:
    """An environment of either kind.

    Raises:
      InputError: it is neither.
    """
    if hasattr(env, "agent_iter") and hasattr(env, "observe"):
        return _Turns(env)
    if hasattr(env, "step") and hasattr(env, "reset") and hasattr(env, "possible_agents"):
        return _Parallel(env)
    kind = type(env)
    raise InputError(
        f"{id}: expected an environment of PettingZoo, parallel or of turns, got {kind.__module__}.{kind.__qualname__}"
    )


def names() -> tuple[str, ...]:
    """Examples; `make` takes every module that has `parallel_env` or `env`."""
    return EXAMPLES


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> PettingZooGame:
    """The game `pettingzoo/MODULE`, whose options reach the maker: numbers, True, False, None, or words.

    Raises:
      InputError: no such module, one that makes no environments, or as `PettingZooGame`.
    """
    del threads
    id = ",".join([f"pettingzoo/{name}", *(f"{key}={value}" for key, value in options.items())])
    if "render_mode" in options:
        raise InputError(f"{id}: render_mode: leave it out; games are drawn where pictures are asked for")
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"{id}: expected a module, such as pettingzoo/mpe2.simple_push_v3, got {name!r}")
    try:
        with foreign(id, "a module with parallel_env or env"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of PettingZoo's, about its own way to make games
            module = importlib.import_module(name)
    except InputError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise error.__cause__ from None  # `games.make` says which package is missing
        raise
    maker = getattr(module, "parallel_env", None) or getattr(module, "env", None)
    if not callable(maker):
        raise InputError(f"{id}: expected a module with parallel_env or env, and {name} has neither")
    given = {key: _value(value) for key, value in options.items()}
    return PettingZooGame(id, partial(maker, **given), num_games)


def _value(text: str) -> Any:
    """What an option's text means in Python, or the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
