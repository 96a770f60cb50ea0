"""JaxMARL's environments (Rutherford et al. 2024) as functional games: `jaxmarl/NAME`, with the environment's options.

jaxmarl/MPE_simple_tag_v3                         three predators and their prey
jaxmarl/MPE_simple_tag_v3,num_adversaries=2       as `jaxmarl.make("MPE_simple_tag_v3", num_adversaries=2)`
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from sparring.errors import InputError, require, unknown
from sparring.games.painting import blank, finished, paint_disc
from sparring.types import (
    ActionSpace,
    AgentID,
    Array,
    Box,
    Dict,
    Discrete,
    Key,
    MultiDiscrete,
    Space,
    Spaces,
    Step,
    View,
)

_WORLD = 2.0  # from the middle of a particle world's picture to its edge
_NO_OPTIONS = ("self", "args", "kwargs")


class JaxmarlState(NamedTuple):
    """B matches."""

    inner: Any  # the environment's own state, [B, ...]
    time: Array  # int32 [B], steps since the match began
    out: Mapping[AgentID, Array]  # bool [B], agents that are out


class JaxmarlGame:
    """B matches of a JaxMARL environment: a `FunctionalGame` without winners.

    A match is over when the environment says so for all agents (`__all__`). If it has then lasted for the environment's
    `max_steps` it counts as cut off (`truncated`), since JaxMARL does not tell the one from the other. An agent that is
    done before the others is out and does not move any more. Which actions are legal is what `get_avail_actions` says.

    Raises:
      InputError: JaxMARL cannot make the environment, its spaces are none of ours, or fewer than one match.
    """

    def __init__(self, name: str, num_games: int = 1, options: Mapping[str, Any] | None = None) -> None:
        import jax

        with redirect_stdout(sys.stderr):  # it says that it looks for more environments
            jaxmarl = require("jaxmarl", "jaxmarl")
        self._made = (name, tuple(sorted((options or {}).items())), num_games)
        self.id = ",".join([f"jaxmarl/{name}", *(f"{key}={value}" for key, value in self._made[1])])
        if num_games < 1:
            raise InputError(f"{self.id}: expected at least 1 match side by side, got {num_games}")
        if name not in jaxmarl.registered_envs:
            raise unknown("JaxMARL environment", name, jaxmarl.registered_envs)
        try:
            self._env = jaxmarl.make(name, **(options or {}))
            shown = jax.eval_shape(self._env.reset, jax.random.key(0))[0]
        except Exception as error:  # whatever an environment of theirs raises
            raise InputError(f"{self.id}: JaxMARL cannot make it: {' '.join(str(error).split())}") from error
        self.num_games = num_games
        # Some of theirs take options that they do not know, and ignore them.
        known = sorted({name for cls in type(self._env).__mro__ for name in signature(cls.__init__).parameters})
        if strange := [key for key in options or {} if key not in known]:
            raise unknown(f"option of {name}", strange[0], [key for key in known if key not in _NO_OPTIONS])
        if not isinstance(shown, Mapping):
            raise InputError(f"{self.id}: expected observations by agent's name, got {type(shown).__name__}")
        self._names = {str(agent): agent for agent in self._env.agents}  # some call their agents 0, 1, ...
        self.agents: tuple[AgentID, ...] = tuple(self._names)
        self.spaces: Mapping[AgentID, Spaces] = {ours: self._spaces(ours, shown) for ours in self.agents}
        self._limit = getattr(self._env, "max_steps", None)
        self._masked = self._says_what_is_legal()
        if hasattr(self._env, "rad") and hasattr(self._env, "colour"):  # one of their particle worlds (MPE)
            self.picture = self._picture

    # Two games that are made alike play alike, so that they share one compilation.
    def __hash__(self) -> int:
        return hash(self._made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JaxmarlGame) and self._made == other._made

    def init(self, key: Key) -> tuple[JaxmarlState, Mapping[AgentID, View]]:
        """See `FunctionalGame.init`."""
        observation, state = self._begin(key)
        return state, self._views(observation, state)

    def step(self, state: JaxmarlState, actions: Mapping[AgentID, Array], key: Key) -> tuple[JaxmarlState, Step]:
        """See `FunctionalGame.step`."""
        import jax
        import jax.numpy as jnp

        move, restart = jax.random.split(jax.random.wrap_key_data(jnp.asarray(key)))
        theirs = {self._names[agent]: self._theirs(agent, actions[agent]) for agent in self.agents}
        observation, inner, reward, done, _ = jax.vmap(self._env.step_env)(
            jax.random.split(move, self.num_games), state.inner, theirs
        )
        over = jnp.asarray(done["__all__"], bool)
        time = state.time + 1
        late = jnp.zeros_like(over) if self._limit is None else time >= self._limit
        out = {a: state.out[a] | jnp.asarray(_of(done, name), bool) for a, name in self._names.items()}
        # Where everybody is done at once, nobody was out before: the last view is one of an agent that plays.
        reached = JaxmarlState(inner, time, {a: gone & ~over for a, gone in out.items()})
        first, beginning = self._begin(jax.random.key_data(restart))
        following = jax.tree.map(partial(_where, over), beginning, reached)
        shown = jax.tree.map(partial(_where, over), first, observation)
        earned = {
            a: jnp.asarray(_of(reward, name), jnp.float32).reshape(self.num_games) for a, name in self._names.items()
        }
        return following, Step(
            view=self._views(shown, following),
            final_view=self._views(observation, reached),
            # What an agent is paid that was out already is not its doing.
            reward={a: jnp.where(state.out[a], 0.0, earned[a]) for a in self.agents},
            terminated=over & ~late,
            truncated=over & late,
            invalid=jnp.zeros_like(over),
            outcome=None,
            info={},
        )

    def _picture(self, state: JaxmarlState, match: int = 0, size: tuple[int, int] = (320, 320)) -> np.ndarray:
        """One match of a particle world from above, `uint8 [N, N, 3]`: 2 units each way, as theirs draws it."""
        canvas = blank(min(size))
        places = np.asarray(state.inner.p_pos[match]).tolist()
        looks = zip(places, np.asarray(self._env.rad).tolist(), self._env.colour, strict=True)
        for (x, y), radius, colour in reversed(list(looks)):  # agents come first, and are seen above landmarks
            paint_disc(canvas, _WORLD, x, y, radius, colour)
        return finished(canvas)

    def _begin(self, key: Key) -> tuple[Any, JaxmarlState]:
        import jax
        import jax.numpy as jnp

        keys = jax.random.split(jax.random.wrap_key_data(jnp.asarray(key)), self.num_games)
        observation, inner = jax.vmap(self._env.reset)(keys)
        never = jnp.zeros(self.num_games, bool)
        return observation, JaxmarlState(inner, jnp.zeros(self.num_games, jnp.int32), dict.fromkeys(self.agents, never))

    def _views(self, observation: Any, state: JaxmarlState) -> dict[AgentID, View]:
        import jax

        legal = jax.vmap(self._env.get_avail_actions)(state.inner) if self._masked else {}
        views = {}
        for agent, name in self._names.items():
            mask = None if name not in legal else legal[name].reshape(self.num_games, -1).astype(bool)
            views[agent] = View(_seen(self.spaces[agent].observation, _of(observation, name)), mask, ~state.out[agent])
        return views

    def _theirs(self, agent: AgentID, action: Array) -> Any:
        import jax.numpy as jnp

        space = self.spaces[agent].action
        if not isinstance(space, Box):
            return action
        low, high = space.bounds()
        return jnp.clip(action, jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32))

    def _spaces(self, agent: AgentID, shown: Any) -> Spaces:
        name, what = self._names[agent], f"{self.id}: {agent}"
        action = _space(self._env.action_space(name), f"{what}: actions")
        if isinstance(action, Dict):
            raise InputError(f"{what}: actions: expected a Box, Discrete or MultiDiscrete space, got a Dict")
        ours: ActionSpace = action
        observed = _space(self._env.observation_space(name), f"{what}: observations")
        return Spaces(_as_shown(observed, _of(shown, name)), ours)

    def _says_what_is_legal(self) -> bool:
        from jaxmarl.environments.multi_agent_env import MultiAgentEnv

        if any(isinstance(spaces.action, Box) for spaces in self.spaces.values()):
            return False
        # An environment without masks has the method that it inherits, which raises an exception.
        return type(self._env).get_avail_actions is not MultiAgentEnv.get_avail_actions


def _space(theirs: Any, what: str) -> Space:
    """Our space for one of JaxMARL's, or for a dictionary of them."""
    from jaxmarl.environments import spaces

    parts = theirs if isinstance(theirs, Mapping) else getattr(theirs, "spaces", None)
    if isinstance(parts, Mapping):
        named = {str(name): _space(part, f"{what}, {str(name)!r}") for name, part in parts.items()}
        return Dict(tuple(sorted(named.items())))
    match theirs:
        case spaces.Box():
            shape = tuple(int(n) for n in np.atleast_1d(np.asarray(theirs.shape, int)))
            kind = np.dtype(theirs.dtype)
            return Box(shape, _bound(theirs.low), _bound(theirs.high), kind.name if kind.kind in "iu" else "float32")
        case spaces.Discrete():
            return Discrete(int(theirs.n))
        case spaces.MultiDiscrete():
            return MultiDiscrete(tuple(int(n) for n in np.ravel(theirs.num_categories)))
    raise InputError(f"{what}: expected a Box, Discrete or MultiDiscrete space, got {type(theirs).__name__}")


def _as_shown(space: Space, observation: Any) -> Space:
    """The space with the shape that is really shown.

    Overcooked declares its picture turned on its side, simple tag with other than three predators more than it shows.
    """
    if not isinstance(space, Box):
        return space
    one = len(space.shape) == len(observation.shape) == 1 and np.ndim(space.low) == np.ndim(space.high) == 0
    if one or math.prod(observation.shape) == space.size:
        return replace(space, shape=tuple(observation.shape))
    return space


def _of(by_agent: Any, name: Any) -> Any:
    """One agent's part of what an environment returns; some name it otherwise there."""
    return by_agent[str(name) if name not in by_agent else name]


def _bound(bound: Any) -> float | tuple[float, ...]:
    values = np.asarray(bound, np.float64).ravel()
    return float(values[0]) if np.all(values == values[0]) else tuple(float(x) for x in values)


def _seen(space: Space, observation: Any) -> Any:
    import jax.numpy as jnp

    if isinstance(space, Dict):
        return {name: _seen(part, observation[name]) for name, part in space.parts}
    return observation.astype(jnp.dtype(space.dtype) if isinstance(space, Box) else jnp.int32)


def _where(over: Array, then: Any, otherwise: Any) -> Any:
    import jax.numpy as jnp

    return jnp.where(over.reshape((-1,) + (1,) * (jnp.ndim(then) - 1)), then, otherwise).astype(
        jnp.result_type(otherwise)
    )


def names() -> tuple[str, ...]:
    """Two of JaxMARL's environments."""
    return ("MPE_simple_tag_v3", "MPE_simple_push_v3")


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> JaxmarlGame:
    """See `sparring.games.make`; an option is a Python literal, or text."""
    del threads
    return JaxmarlGame(name, num_games, {key: _value(text) for key, text in options.items()})


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
