"""What a RoboSumo robot sees (Al-Shedivat et al. 2017), for B matches at once.

Blocks of the vector: own positions (7 of the torso, then the hinges), own velocities, own contact forces (6 per body:
torque, then force), the opponent's torso position and orientation, the contact force on the opponent's torso.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparring.games.robosumo.bodies import Body

FORCE_LIMIT = 100.0  # N or N m
_HEIGHT = 2  # index into the positions of a torso
_POSE = 7  # a torso's position and orientation
_WRENCH = 6


@dataclass(frozen=True)
class Slices:
    """Where one robot lies in the scene's arrays."""

    qpos: slice
    qvel: slice
    ctrl: slice
    bodies: slice


def slices(bodies: tuple[Body, Body]) -> tuple[Slices, Slices]:
    """Of both robots; the scene holds them one after the other, behind the world's body."""
    a, b = bodies
    first = Slices(slice(0, a.nq), slice(0, a.nv), slice(0, a.nu), slice(1, 1 + a.nbody))
    second = Slices(
        slice(a.nq, a.nq + b.nq),
        slice(a.nv, a.nv + b.nv),
        slice(a.nu, a.nu + b.nu),
        slice(1 + a.nbody, 1 + a.nbody + b.nbody),
    )
    return first, second


def size(body: Body) -> int:
    """Length of the vector: it depends on the robot's own body alone."""
    return body.nq + body.nv + _WRENCH * body.nbody + _POSE + _WRENCH


def features(body: Body) -> tuple[str, ...]:
    """What the entries of the vector are: part of the body (legs in the order of `Body.legs`), and quantity."""
    legs = range(1, len(body.legs) + 1)
    hinges = [f"{joint} {leg}" for leg in legs for joint in ("hip", "ankle")]
    parts = ["torso", *(f"{part} {leg}" for leg in legs for part in ("leg root", "thigh", "shin"))]
    return (
        *_pose("torso"),
        *(f"{hinge} position" for hinge in hinges),
        *(f"torso {axis} velocity" for axis in "xyz"),
        *(f"torso {axis} spin" for axis in "xyz"),
        *(f"{hinge} velocity" for hinge in hinges),
        *(name for part in parts for name in _wrench(part)),
        *_pose("opponent"),
        *_wrench("opponent"),
    )


def _pose(whose: str) -> tuple[str, ...]:
    return (*(f"{whose} {axis} position" for axis in "xyz"), *(f"{whose} {axis} orientation" for axis in "wxyz"))


def _wrench(part: str) -> tuple[str, ...]:
    return (*(f"{part} {axis} torque" for axis in "xyz"), *(f"{part} {axis} force" for axis in "xyz"))


def observe(
    own: Slices, opponent: Slices, qpos: np.ndarray, qvel: np.ndarray, cfrc_ext: np.ndarray, adjust_z: float
) -> np.ndarray:
    """The robot's observations, `float32 [B, D]`.

    Args:
      own, opponent: of the robot that sees, and of the other.
      qpos: [B, nq]; qvel: [B, nv]; both of the whole scene, at the state after the step.
      cfrc_ext: [B, nbody, 6], N m and N, of the state before the last physics step, as MuJoCo leaves it.
      adjust_z: m, added to both heights.
    """
    batch = len(qpos)
    forces = np.abs(cfrc_ext[:, own.bodies]).reshape(batch, -1)
    opponent_pose = qpos[:, opponent.qpos.start : opponent.qpos.start + _POSE].copy()
    opponent_pose[:, _HEIGHT] += adjust_z
    parts = (
        qpos[:, own.qpos],
        qvel[:, own.qvel],
        np.minimum(forces, FORCE_LIMIT),
        opponent_pose,
        np.minimum(np.abs(cfrc_ext[:, opponent.bodies.start]), FORCE_LIMIT),
    )
    observation = np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")
    observation[:, _HEIGHT] = qpos[:, own.qpos.start + _HEIGHT] + adjust_z
    return observation
