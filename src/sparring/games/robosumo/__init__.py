"""RoboSumo (Al-Shedivat et al. 2017) on current MuJoCo: `robosumo/ant-vs-bug`, `robosumo/ant-vs-ant,integrator=euler`.

Light on purpose: `games.names()` imports this package, and only `make` loads MuJoCo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sparring.errors import require, unknown

if TYPE_CHECKING:
    from sparring.games.robosumo.sumo import RoboSumo
    from sparring.games.robosumo.symmetry import Symmetry

_BODIES = ("ant", "bug", "spider")
_PAIRS = {f"{first}-vs-{second}": (first, second) for first in _BODIES for second in _BODIES}

FRAMES = tuple(f"robosumo-{body}" for body in _BODIES)


def names() -> tuple[str, ...]:
    """All ordered pairs of bodies."""
    return tuple(_PAIRS)


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> RoboSumo:
    """The game of that pair; the options are the fields of `settings.SumoSettings`.

    Raises:
      InputError: an unknown pair or option, a bad value, or MuJoCo is not installed.
    """
    if name not in _PAIRS:
        raise unknown("robosumo game", name, _PAIRS)
    from sparring.games.robosumo.settings import parse_settings

    settings = parse_settings(options)
    require("mujoco", "robosumo")
    from sparring.games.robosumo.sumo import RoboSumo

    return RoboSumo(_PAIRS[name], num_games, threads, settings)


def frame(name: str) -> Symmetry:
    """The symmetry called `robosumo-BODY`.

    Raises:
      InputError: an unknown name.
    """
    if name not in FRAMES:
        raise unknown("symmetry", name, FRAMES)
    from sparring.games.robosumo.symmetry import Symmetry

    return Symmetry(name.removeprefix("robosumo-"))
