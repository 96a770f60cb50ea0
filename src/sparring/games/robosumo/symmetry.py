"""The symmetries of a robot against its like, and the one description of many in which a network needs to learn.

The ring is a square, so a match can be turned by quarter turns and mirrored without a change of the physics; and where
a robot's body has symmetries of its own, another of its legs can be called the first one, which turns the robot's own
frame. `Symmetry.turn` picks one of all descriptions of a match, so that one of 32 (ant), 16 (bug) or 8 (spider) cases
is left to be learned:

- For an ant and a bug, the one in which the opponent lies between straight ahead (+x) and 45 degrees to the left, and
  in which both robots face ahead as nearly as their bodies allow: an ant, with four equal legs, up to 45 degrees to
  either side; a bug up to 90.
- A spider has a mirror image and nothing else. If it went by the opponent it could face anywhere, and what keeps it
  upright would have to be learned for every direction. So the world is turned until the spider faces ahead, up to 45
  degrees to either side, and mirrored if the opponent is not in the half in front of it.

All arrays are JAX's, with any leading dimensions [...]; an observation [..., D] is laid out as `observation` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sparring.games.robosumo.bodies import BODIES, Body
from sparring.games.robosumo.observation import size
from sparring.types import Array


class Turn(NamedTuple):
    """A change of description: quarter turns to the left, then the mirror (y becomes -y)."""

    world: Array  # int [...], of the world
    own: Array  # int [...], of the robot's own frame within the robot
    other: Array  # int [...], of the opponent's
    mirrored: Array  # bool [...]


@dataclass(frozen=True)
class Symmetry:
    """Of matches between two robots with this body: a `nets.Frame`."""

    robot: str

    @property
    def name(self) -> str:
        return f"robosumo-{self.robot}"

    @property
    def body(self) -> Body:
        return BODIES[self.robot]

    @property
    def observation(self) -> int:
        return size(self.body)

    @property
    def choices(self) -> int:
        """Descriptions in which robots that face ahead go on doing so."""
        return 8 // _tables(self.robot).period

    def choice(self, number: int) -> Turn:
        """One of the `choices` descriptions; the first changes nothing."""
        per_side = self.choices // 2
        mirrored, turns = number // per_side, number % per_side * _tables(self.robot).period
        turns += _tables(self.robot).first[mirrored]
        return Turn(jnp.int32(turns), jnp.int32(-turns % 4), jnp.int32(-turns % 4), jnp.bool_(mirrored))

    def turn(self, observation: Array) -> Turn:
        """The description that is used of the matches that are seen."""
        opponent = size(self.body) - 13
        o = jnp.moveaxis(observation, -1, 0)
        x, y = o[opponent] - o[0], o[opponent + 1] - o[1]
        tables = _tables(self.robot)
        if tables.period == 4:
            world = -_quarters(_yaw(o[3:7]))
            mirrored = _rotated(world % 4, x, y)[0] < 0
            world -= jnp.asarray(tables.first)[jnp.int32(mirrored)]
        else:
            bearing = jnp.arctan2(y, x)
            world = -_quarters(bearing)
            mirrored = bearing + world * (np.pi / 2) < 0
        own, other = (self._frame(o[i + 3 : i + 7], world, mirrored) for i in (0, opponent))
        return Turn(world % 4, own, other, mirrored)

    def turned(self, turn: Turn, observation: Array) -> Array:
        """The observations in that description."""
        body, lead = self.body, observation.shape[:-1]
        velocity, forces, opponent = body.nq, body.nq + body.nv, size(body) - 13
        o = jnp.moveaxis(observation, -1, 0)
        sense = jnp.where(turn.mirrored, -1.0, 1.0)
        odd = (turn.world % 2 == 1)[..., None]

        def vector(i: int) -> list[Array]:
            x, y = _rotated(turn.world, o[i], o[i + 1])
            return [x, sense * y, o[i + 2]]

        def orientation(i: int, frame: Array) -> list[Array]:
            w, x, y, z = _times(_times(_quarter_turns(turn.world), tuple(o[i : i + 4])), _quarter_turns(frame))
            sign = jnp.where(w < 0, -1.0, 1.0)  # q and -q are the same orientation
            return [sign * w, sign * sense * x, sign * y, sign * sense * z]

        def wrench(i: int) -> Array:
            """Magnitudes along the world's axes: all that can happen is that x and y change places."""
            f = observation[..., i : i + 6]
            return jnp.where(odd, f[..., [1, 0, 2, 4, 3, 5]], f)

        # The angular velocity is in the robot's own frame, and a pseudovector.
        roll, pitch = _rotated(-turn.own % 4, o[velocity + 3], o[velocity + 4])
        limbs = jnp.stack([wrench(i) for i in range(forces + 6, opponent, 6)], -2)
        legs = self._picked(turn, limbs.reshape(*lead, len(body.legs), 18), "source")
        blocks = [
            jnp.stack(vector(0) + orientation(3, turn.own), -1),
            self.turned_action(turn, observation[..., 7:velocity]),
            jnp.stack([*vector(velocity), sense * roll, pitch, sense * o[velocity + 5]], -1),
            self.turned_action(turn, observation[..., velocity + 6 : forces]),
            wrench(forces),
            legs.reshape(*lead, 18 * len(body.legs)),
            jnp.stack(vector(opponent) + orientation(opponent + 3, turn.other), -1),
            wrench(opponent + 7),
        ]
        return jnp.concatenate(blocks, -1)

    def turned_action(self, turn: Turn, action: Array) -> Array:
        """What belongs to the hinges [..., A] (angles, speeds, torques) in that description."""
        legs = action.reshape(*action.shape[:-1], -1, 2)
        return (self._picked(turn, legs, "source") * self._signs(turn)).reshape(action.shape)

    def turned_back(self, turn: Turn, action: Array) -> Array:
        """The inverse of `turned_action`."""
        legs = action.reshape(*action.shape[:-1], -1, 2) * self._signs(turn)
        return self._picked(turn, legs, "target").reshape(action.shape)

    def _frame(self, q: Array, world: Array, mirrored: Array) -> Array:
        """Turns of a robot's own frame that let it face ahead, as nearly as its body allows."""
        tables = _tables(self.robot)
        first = jnp.asarray(tables.first)[jnp.int32(mirrored)]
        ahead = -_yaw(q) - (world + first) * (np.pi / 2)
        return (first + tables.period * jnp.round(ahead / (tables.period * np.pi / 2)).astype(jnp.int32)) % 4

    def _picked(self, turn: Turn, legs: Array, which: str) -> Array:
        """Of values [..., legs, n], those that come to the legs, or go back to them."""
        table = jnp.asarray(getattr(_tables(self.robot), which))[_labels(turn)]
        return jnp.take_along_axis(legs, jnp.broadcast_to(table, legs.shape[:-1])[..., None], -2)

    def _signs(self, turn: Turn) -> Array:
        """Of hips and ankles, [..., legs, 2]: hips turn about the vertical, whose sense the mirror changes."""
        ankles = jnp.asarray(_tables(self.robot).ankle)[_labels(turn)]
        hips = jnp.where(turn.mirrored, -1.0, 1.0)[..., None]
        return jnp.stack([jnp.broadcast_to(hips, ankles.shape), ankles], -1)


class _Tables(NamedTuple):
    """What a body's symmetries do to its legs; [2, 4, legs] for mirrored or not and each number of quarter turns."""

    source: np.ndarray  # int, which leg is called leg i then
    target: np.ndarray  # int, the inverse
    ankle: np.ndarray  # float32, the sign that the angle of its ankle gets
    period: int  # quarter turns after which the body is itself again: 1, 2 or 4
    first: tuple[int, int]  # without and with the mirror: the least turns of the frame that go with the body


@cache
def _tables(name: str) -> _Tables:
    legs = BODIES[name].legs
    places = np.array([leg.ends[0][:2] for leg in legs])
    axes = np.array([leg.ankle_axis[:2] for leg in legs])
    source, sign = np.zeros((2, 4, len(legs)), np.int32), np.ones((2, 4, len(legs)), np.float32)
    fits: list[list[int]] = [[], []]
    for mirrored in (0, 1):
        for turns in range(4):
            sense = 1 - 2 * mirrored
            change = np.diag([1, sense]) @ np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
            found = [np.flatnonzero(np.isclose(places, change @ place, atol=1e-6).all(axis=1)) for place in places]
            if any(len(f) == 0 for f in found):
                continue  # not a symmetry of this body
            fits[mirrored].append(-turns % 4)  # a frame that turns to the left sees the robot turn to the right
            for leg, (new,) in enumerate(found):
                source[mirrored, turns, new] = leg
                sign[mirrored, turns, new] = sense * np.sign(change @ axes[leg] @ axes[new])  # a pseudovector
    period = 4 // len(fits[0])
    return _Tables(source, np.argsort(source, -1), sign, period, (min(fits[0]), min(fits[1])))


def _labels(turn: Turn) -> tuple[Array, Array]:
    """Where in the tables: a frame that is turned to the left sees the robot turned to the right."""
    return jnp.int32(turn.mirrored), -turn.own % 4


def _quarters(angle: Array) -> Array:
    return jnp.round(angle / (np.pi / 2)).astype(jnp.int32)


def _rotated(quarters: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Without rounding: a quarter turn only exchanges numbers."""
    c, s = jnp.array([1.0, 0.0, -1.0, 0.0])[quarters], jnp.array([0.0, 1.0, 0.0, -1.0])[quarters]
    return c * x - s * y, s * x + c * y


def _quarter_turns(quarters: Array) -> tuple[Array, ...]:
    """About z, as a quaternion (w, x, y, z)."""
    half = float(np.sqrt(0.5))
    w, z = jnp.array([1.0, half, 0.0, -half])[quarters], jnp.array([0.0, half, 1.0, half])[quarters]
    return w, jnp.zeros_like(w), jnp.zeros_like(w), z


def _times(p: tuple[Array, ...], q: tuple[Array, ...]) -> tuple[Array, ...]:
    (a, b, c, d), (w, x, y, z) = p, q
    return (
        a * w - b * x - c * y - d * z,
        a * x + b * w + c * z - d * y,
        a * y - b * z + c * w + d * x,
        a * z + b * y - c * x + d * w,
    )


def _yaw(q: Array) -> Array:
    """The twist about z in an orientation (w, x, y, z), in radians, to which quarter turns on either side just add."""
    return 2 * jnp.arctan2(q[3], q[0])
