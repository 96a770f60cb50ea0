"""RoboSumo's robots as numbers (Al-Shedivat et al. 2017): metres and degrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Leg:
    """Three capsules in a chain: one welded to the torso, one behind the hip, one behind the ankle."""

    name: str
    ends: tuple[tuple[float, float, float], ...]  # of each capsule, from its own start
    ankle_axis: tuple[float, float, float]
    ankle_range: tuple[float, float]  # degrees


@dataclass(frozen=True)
class Body:
    """A robot: a spherical torso and its legs."""

    legs: tuple[Leg, ...]
    radius: float  # of the capsules
    hip_range: float  # degrees to either side
    leg_density: float | None = None  # None: that of the torso

    @property
    def nq(self) -> int:
        return 7 + 2 * len(self.legs)

    @property
    def nv(self) -> int:
        return 6 + 2 * len(self.legs)

    @property
    def nu(self) -> int:
        return 2 * len(self.legs)

    @property
    def nbody(self) -> int:
        return 1 + 3 * len(self.legs)


def _flat_leg(
    name: str,
    near: tuple[float, float],
    mid: tuple[float, float],
    far: tuple[float, float],
    axis: tuple[float, float],
    span: tuple[float, float],
) -> Leg:
    return Leg(name, ((*near, 0.0), (*mid, 0.0), (*far, 0.0)), (*axis, 0.0), span)


def _spider_leg(
    name: str,
    x: tuple[float, float, float],
    y: tuple[float, float, float],
    axis: tuple[float, float],
    span: tuple[float, float],
) -> Leg:
    return Leg(name, tuple(zip(x, y, (0.125, 0.113, -0.6), strict=True)), (*axis, 0.0), span)


_IN, _OUT = (-70.0, -30.0), (30.0, 70.0)
_LOW, _HIGH = (-35.0, 45.0), (-45.0, 35.0)

BODIES: Mapping[str, Body] = {
    "ant": Body(
        radius=0.08,
        hip_range=30.0,
        legs=(
            _flat_leg("front_left_leg", (-0.2, 0.2), (-0.2, 0.2), (-0.4, 0.4), (1, 1), _IN),
            _flat_leg("front_right_leg", (0.2, 0.2), (0.2, 0.2), (0.4, 0.4), (-1, 1), _OUT),
            _flat_leg("back_left_leg", (-0.2, -0.2), (-0.2, -0.2), (-0.4, -0.4), (-1, 1), _IN),
            _flat_leg("back_right_leg", (0.2, -0.2), (0.2, -0.2), (0.4, -0.4), (1, 1), _OUT),
        ),
    ),
    "bug": Body(
        radius=0.08,
        hip_range=30.0,
        legs=(
            _flat_leg("back_left_leg", (0.18, 0.215), (0.18, 0.215), (0.324, 0.387), (-1, 1), _OUT),
            _flat_leg("back_right_leg", (-0.18, 0.215), (-0.18, 0.215), (-0.324, 0.387), (1, 1), _IN),
            _flat_leg("middle_right_leg", (-0.2, 0.0), (-0.275, 0.0), (-0.55, 0.0), (0, 1), _IN),
            _flat_leg("middle_left_leg", (0.2, 0.0), (0.275, 0.0), (0.55, 0.0), (0, 1), _OUT),
            _flat_leg("front_right_leg", (-0.18, -0.215), (-0.18, -0.215), (-0.324, -0.387), (-1, 1), _IN),
            _flat_leg("front_left_leg", (0.18, -0.215), (0.18, -0.215), (0.324, -0.387), (1, 1), _OUT),
        ),
    ),
    "spider": Body(
        radius=0.04,
        hip_range=20.0,
        leg_density=5.0,
        legs=(
            _spider_leg("back_right_leg", (-0.056, -0.05, -0.112), (0.209, 0.188, 0.418), (0.97, 0.26), _LOW),
            _spider_leg("back_left_leg", (0.056, 0.05, 0.112), (0.209, 0.188, 0.418), (-0.97, 0.26), _HIGH),
            _spider_leg("middle_back_right_leg", (-0.188, -0.17, -0.376), (0.108, 0.097, 0.216), (0.5, 0.87), _LOW),
            _spider_leg("middle_back_left_leg", (0.188, 0.17, 0.376), (0.108, 0.097, 0.216), (-0.5, 0.87), _HIGH),
            _spider_leg(
                "middle_front_right_leg", (-0.209, -0.188, -0.418), (-0.056, -0.05, -0.112), (-0.26, 0.97), _LOW
            ),
            _spider_leg("middle_front_left_leg", (0.209, 0.188, 0.418), (-0.056, -0.05, -0.112), (0.26, 0.97), _HIGH),
            _spider_leg("front_right_leg", (-0.108, -0.097, -0.216), (-0.188, -0.17, -0.376), (-0.87, 0.5), _LOW),
            _spider_leg("front_left_leg", (0.108, 0.097, 0.216), (-0.188, -0.17, -0.376), (0.87, 0.5), _HIGH),
        ),
    ),
}
