"""A sumo of two discs on a round ring, as a functional game.

Every step each disc chooses an acceleration; linear drag slows it down; two discs that meet exchange momentum. A disc
whose centre leaves the ring loses. Lengths are metres, times seconds, and both discs have mass 1.

The motion between collisions is exact, not a numerical scheme. With acceleration a, drag k and a step of d seconds
    v(d) = v(0) e^(-k d) + a (1 - e^(-k d)) / k
    x(d) = x(0) + v(0) (1 - e^(-k d)) / k + a (d - (1 - e^(-k d)) / k) / k
Collisions are found at the end of a step: discs that overlap are moved apart, each by half of the overlap, and if they
approach each other, an impulse along the line of their centres turns their approach around (restitution e):
    v0 += (1 + e) / 2 ((v1 - v0) . n) n,    v1 -= (1 + e) / 2 ((v1 - v0) . n) n
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from sparring.errors import InputError
from sparring.games.discs.settings import RADIUS, DuelSettings
from sparring.types import AgentID, Array, Box, Key, Spaces, Step, View

FORCE = 2.5  # m/s^2 of each of the two components at full action
DT = 0.05  # s, one step

_AGENTS = ("disc0", "disc1")
_SPACES = Spaces(Box((9,)), Box((2,), -1.0, 1.0))


class DuelState(NamedTuple):
    """B matches; the second axis of positions and velocities is the disc."""

    position: Array  # float32 [B, 2, 2], m from the centre of the ring
    velocity: Array  # float32 [B, 2, 2], m/s
    time: Array  # int32 [B], steps since the match began


class Duel(eqx.Module):
    """B matches of `discs/duel`: a `FunctionalGame` of the agents "disc0" and "disc1".

    An agent sees 9 numbers: its own position, the other's position, its own velocity, the other's velocity (x and y of
    each, in m and m/s), and the share of time that is left. It sees them in a frame of its own: the origin is the
    centre of the ring, and the x axis has the direction from its disc to the other one. Its action, the acceleration
    in units of 2.5 m/s^2, clamped to [-1, 1] in each component, is in the same frame. So the two seats are alike, and
    nothing changes when the whole match is turned around the centre.

    Out of the ring loses; both out at the same step is a draw. At the time limit the disc nearer to the centre wins.
    That end is a decision by the rules, which the agents see coming, and not a cut of a match that would go on: it is
    `terminated` with an outcome, never `truncated`. The reward is the outcome, 1 or -1 at the end and 0 before.

    `Step.info`, for shaping, in metres of this step: `ring`, by how much the other disc came nearer to the border;
    `centre`, by how much the own disc came nearer to the centre.

    The physical constants are arrays of the pytree, so that games with other rings share one compilation.

    Raises:
      InputError: fewer than one match.
    """

    ring: Array  # float32 [], as in `DuelSettings`; so are the next three
    limit: Array  # int32 []
    drag: Array
    restitution: Array
    num_games: int = eqx.field(static=True)
    agents: tuple[AgentID, ...] = eqx.field(static=True)

    def __init__(self, num_games: int = 1, settings: DuelSettings | None = None) -> None:
        settings = settings or DuelSettings()
        if num_games < 1:
            raise InputError(f"discs/duel: expected at least 1 match side by side, got {num_games}")
        self.num_games, self.agents = num_games, _AGENTS
        self.limit = jnp.int32(settings.limit)
        self.ring, self.drag = jnp.float32(settings.ring), jnp.float32(settings.drag)
        self.restitution = jnp.float32(settings.restitution)

    @property
    def id(self) -> str:
        """The name with the options that are not the default ones; within JAX, where they are not known, the name."""
        plain, parts = DuelSettings(), ["discs/duel"]
        for f in fields(DuelSettings):
            value = getattr(self, f.name)
            if isinstance(value, Tracer):
                return "discs/duel"
            number = np.asarray(value)[()]
            if number != number.dtype.type(getattr(plain, f.name)):
                parts.append(f"{f.name}={str(number).removesuffix('.0')}")
        return ",".join(parts)

    @property
    def spaces(self) -> Mapping[AgentID, Spaces]:
        return dict.fromkeys(self.agents, _SPACES)

    @property
    def features(self) -> Mapping[AgentID, tuple[str, ...]]:
        """What the entries of the observations are; forward is toward the other disc."""
        ways = [f"{disc} {way}" for disc in ("own", "other") for way in ("forward", "sideways")]
        seen = [f"{way} {what}" for what in ("position", "velocity") for way in ways]
        return dict.fromkeys(self.agents, (*seen, "remaining time"))

    def init(self, key: Key) -> tuple[DuelState, Mapping[AgentID, View]]:
        """See `FunctionalGame.init`."""
        state = self._begin(key)
        return state, self.views(state)

    def step(self, state: DuelState, actions: Mapping[AgentID, Array], key: Key) -> tuple[DuelState, Step]:
        """See `FunctionalGame.step`."""
        action = jnp.stack([actions[agent] for agent in self.agents], axis=1)
        reached = self._moved(state, action)
        before, after = _norm(state.position), _norm(reached.position)  # [B, 2]
        out = after > self.ring
        late = reached.time >= self.limit
        # The smaller number wins: 1 out of the ring, 0 within it; at the limit, the distance to the centre.
        worse = jnp.where(out.any(axis=1, keepdims=True), out.astype(jnp.float32), after)
        over = out.any(axis=1) | late
        lead = jnp.where(over, jnp.sign(worse[:, 1] - worse[:, 0]), 0.0)
        lead = jnp.stack([lead, -lead], axis=1)
        following = _where(over, self._begin(key), reached)
        outward = after - before
        never = jnp.zeros(self.num_games, bool)
        return following, Step(
            view=self.views(following),
            final_view=self.views(reached),
            reward=self._each(lead),
            terminated=over,
            truncated=never,
            invalid=never,
            outcome=self._each(lead.astype(jnp.int8)),
            info={"ring": self._each(outward[:, ::-1]), "centre": self._each(-outward)},
        )

    def picture(self, state: DuelState, match: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
        """One match now, a square `uint8 [N, N, 3]` of 320 pixels, or as large as fits into `size` (width, height)."""
        from sparring.games.discs.render import SIZE, picture

        return picture(np.asarray(state.position)[match], float(self.ring), SIZE if size is None else min(size))

    def _begin(self, key: Key) -> DuelState:
        """Two discs at rest, equally far from the centre: one start is the mirror image of the other."""
        uniform = jax.random.uniform(key, (self.num_games, 3))
        far = self.ring * (0.4 + 0.3 * uniform[:, 0, None])
        # Between a third and two thirds of a turn apart.
        other = uniform[:, 1] + (1.0 + uniform[:, 2]) / 3.0
        position = far[:, None] * jnp.stack([_direction(uniform[:, 1]), _direction(other)], axis=1)
        return DuelState(position, jnp.zeros_like(position), jnp.zeros(self.num_games, jnp.int32))

    def _moved(self, state: DuelState, action: Array) -> DuelState:
        """One step of motion under actions [B, 2, 2], each in its own frame; nobody is out yet."""
        normal = _normals(state.position)
        x, y = jnp.split(jnp.clip(action, -1.0, 1.0), 2, axis=-1)
        force = FORCE * jnp.concatenate(
            [x * normal[..., :1] - y * normal[..., 1:], x * normal[..., 1:] + y * normal[..., :1]], axis=-1
        )
        keep = jnp.exp(-self.drag * DT)
        reach = (1.0 - keep) / self.drag
        position = state.position + state.velocity * reach + force * ((DT - reach) / self.drag)
        velocity = state.velocity * keep + force * reach
        return DuelState(*self._collided(position, velocity), state.time + 1)

    def _collided(self, position: Array, velocity: Array) -> tuple[Array, Array]:
        """Positions and velocities after the collision of discs that touch."""
        normal = _normals(position)
        gap = _norm(position[:, 1] - position[:, 0])[:, None, None]
        touching = gap < 2 * RADIUS
        # The speed at which each disc's neighbour comes nearer; the same number for both.
        closing = -((velocity[:, ::-1] - velocity) * normal).sum(axis=-1, keepdims=True)
        impulse = jnp.where(touching, 0.5 * (1.0 + self.restitution) * jnp.maximum(closing, 0.0), 0.0)
        overlap = jnp.where(touching, 2 * RADIUS - gap, 0.0)
        return position - 0.5 * overlap * normal, velocity - impulse * normal

    def views(self, state: DuelState) -> dict[AgentID, View]:
        """What each agent sees, in its own frame."""
        normal = _normals(state.position)
        left = 1.0 - state.time[:, None] / self.limit.astype(jnp.float32)
        views = {}
        for own, agent in enumerate(self.agents):
            x, y = normal[:, own, :1], normal[:, own, 1:]
            seen = []
            for vector in (state.position, state.velocity):
                for disc in (own, 1 - own):
                    u, v = vector[:, disc, :1], vector[:, disc, 1:]
                    seen += [u * x + v * y, v * x - u * y]
            views[agent] = View(jnp.concatenate([*seen, left], axis=1))
        return views

    def _each(self, values: Array) -> dict[AgentID, Array]:
        """The columns of [B, 2] by agent."""
        return {agent: values[:, disc] for disc, agent in enumerate(self.agents)}


def _normals(position: Array) -> Array:
    """From each disc the direction to the other one, [B, 2, 2]."""
    toward = position[:, ::-1] - position
    # The centres never meet (see `DuelSettings`); the bound only keeps the division defined.
    return toward / jnp.maximum(_norm(toward), 1e-6)[..., None]


def _norm(vector: Array) -> Array:
    return jnp.sqrt((vector * vector).sum(axis=-1))


def _direction(turn: Array) -> Array:
    """The direction [B, 2] of an angle [B], in turns."""
    angle = 2 * math.pi * turn
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


def _where(condition: Array, new: DuelState, old: DuelState) -> DuelState:
    """The states of the matches where `condition` [B] from `new`, the others from `old`."""
    return jax.tree.map(lambda n, o: jnp.where(condition.reshape((-1,) + (1,) * (n.ndim - 1)), n, o), new, old)
