"""The symmetries of ant against ant, and the one view of 32 in which a network needs to learn.

The ring is a square and the ant has four equal legs, so three changes of the description leave the physics as it is:
turning the world by quarter turns, calling another leg the first one (which turns the robot's own frame by quarter
turns), and mirroring. `view` picks, for whatever match, the description in which the opponent lies between straight
ahead (+x) and 45 degrees to the left, and both robots face ahead, up to 45 degrees to either side.

All arrays are JAX's, with any leading dimensions [...]; an observation is an ant's (see `observation`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from sparring.games.robosumo.bodies import BODIES
from sparring.games.robosumo.observation import size
from sparring.types import Array

OBSERVATION = size(BODIES["ant"])
CHOICES = 8  # ways to place the opponent's 45 degrees, the robots facing ahead


class View(NamedTuple):
    """A change of description: quarter turns to the left, then the mirror (y becomes -y)."""

    world: Array  # int [...], of the world
    own: Array  # int [...], of the robot's own frame within the robot
    other: Array  # int [...], of the opponent's
    mirrored: Array  # bool [...]


def view(observation: Array) -> View:
    """The description that is used of the matches seen in observations [..., 120]."""
    o = jnp.moveaxis(observation, -1, 0)
    bearing = jnp.arctan2(o[108] - o[1], o[107] - o[0])
    world = -_quarters(bearing)
    own, other = (-_quarters(_yaw(q)) - world for q in (o[3:7], o[110:114]))
    return View(world % 4, own % 4, other % 4, bearing + world * (np.pi / 2) < 0)


def choice(number: int) -> View:
    """One of the `CHOICES` descriptions in which robots that face ahead go on doing so; the first changes nothing."""
    turns = number % 4
    return View(jnp.int32(turns), jnp.int32(-turns % 4), jnp.int32(-turns % 4), jnp.bool_(number >= 4))


def turned(view: View, observation: Array) -> Array:
    """The observations [..., 120] in that description."""
    o = jnp.moveaxis(observation, -1, 0)
    sense = jnp.where(view.mirrored, -1.0, 1.0)

    def vector(x: Array, y: Array, z: Array) -> list[Array]:
        x, y = _rotated(view.world, x, y)
        return [x, sense * y, z]

    def orientation(q: Array, frame: Array) -> list[Array]:
        w, x, y, z = _times(_times(_quarter_turns(view.world), tuple(q)), _quarter_turns(frame))
        sign = jnp.where(w < 0, -1.0, 1.0)  # q and -q are the same orientation
        return [sign * w, sign * sense * x, sign * y, sign * sense * z]

    odd = (view.world % 2 == 1)[..., None]

    def forces(f: Array) -> Array:
        """They are magnitudes along the world's axes, so all that can happen is that x and y change places."""
        return jnp.where(odd, f[..., [1, 0, 2, 4, 3, 5]], f)

    # The angular velocity is in the robot's own frame, and a pseudovector.
    roll, pitch = _rotated(-view.own % 4, o[18], o[19])
    limbs = [forces(observation[..., i : i + 6]) for i in range(35, 107, 6)]
    legs = jnp.stack(limbs, -2).reshape(*observation.shape[:-1], 4, 18)
    legs = _picked(legs, jnp.asarray(_SOURCE)[_labels(view)])
    blocks = [
        jnp.stack(vector(o[0], o[1], o[2]) + orientation(o[3:7], view.own), -1),
        turned_joints(view, observation[..., 7:15]),
        jnp.stack([*vector(o[15], o[16], o[17]), sense * roll, pitch, sense * o[20]], -1),
        turned_joints(view, observation[..., 21:29]),
        forces(observation[..., 29:35]),
        legs.reshape(*observation.shape[:-1], 72),
        jnp.stack(vector(o[107], o[108], o[109]) + orientation(o[110:114], view.other), -1),
        forces(observation[..., 114:120]),
    ]
    return jnp.concatenate(blocks, -1)


def turned_joints(view: View, joints: Array) -> Array:
    """What belongs to the eight hinges [..., 8] (angles, speeds, torques) in that description."""
    legs = joints.reshape(*joints.shape[:-1], 4, 2)
    moved = _picked(legs, jnp.asarray(_SOURCE)[_labels(view)])
    return (moved * _signs(view)).reshape(joints.shape)


def turned_back(view: View, joints: Array) -> Array:
    """The inverse of `turned_joints`."""
    legs = joints.reshape(*joints.shape[:-1], 4, 2) * _signs(view)
    return _picked(legs, jnp.asarray(np.argsort(_SOURCE, -1))[_labels(view)]).reshape(joints.shape)


def _picked(legs: Array, source: Array) -> Array:
    """Of values [..., 4, n], those of the legs `source`, [4] or [..., 4]."""
    return jnp.take_along_axis(legs, jnp.broadcast_to(source, legs.shape[:-1])[..., None], -2)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """How a description changes the legs.

    Returns:
      for mirrored or not and each number of quarter turns, [2, 4, 4]: which leg is called leg i then, and the sign
      that the angle of its ankle gets.
    """
    legs = BODIES["ant"].legs
    places = np.sign([leg.ends[0][:2] for leg in legs]).astype(int)
    axes = np.array([leg.ankle_axis[:2] for leg in legs]).astype(int)
    source, sign = np.zeros((2, 4, 4), np.int32), np.zeros((2, 4, 4), np.float32)
    for mirrored in (0, 1):
        for turns in range(4):
            change = np.diag([1, 1 - 2 * mirrored]) @ np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
            for leg in range(4):
                new = int(np.flatnonzero((places == change @ places[leg]).all(axis=1))[0])
                axis = change @ axes[leg] * (1 - 2 * mirrored)  # a pseudovector
                source[mirrored, turns, new] = leg
                sign[mirrored, turns, new] = 1 if (axis == axes[new]).all() else -1
    return source, sign


_SOURCE, _ANKLE_SIGN = _tables()


def _labels(view: View) -> tuple[Array, Array]:
    """Where in the tables: a frame that is turned to the left sees the robot turned to the right."""
    return jnp.int32(view.mirrored), -view.own % 4


def _signs(view: View) -> Array:
    """Of hips and ankles, [..., 4, 2]: hips turn about the vertical, whose sense the mirror changes."""
    ankles = jnp.asarray(_ANKLE_SIGN)[_labels(view)]
    hips = jnp.where(view.mirrored, -1.0, 1.0)[..., None]
    return jnp.stack([jnp.broadcast_to(hips, ankles.shape), ankles], -1)


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
