"""The options of RoboSumo's games. They are read before MuJoCo is loaded, so that a bad one is refused at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sparring.errors import InputError, unknown
from sparring.games.robosumo.bodies import BODIES

MAT_HEIGHT = 0.5  # m


@dataclass(frozen=True)
class SumoSettings:
    """What may differ from the original game; every field is also an option of the game's id.

    Attributes:
      contact_forces: robots feel contact forces; "off" shows zeros instead (DECISIONS 20).
      adjust_z: m, added to every height that is shown or judged; -0.5 measures from the mat.
      integrator: "rk4", or "euler", a variant 3.5 times as fast in which robots lose a little more by themselves.
      tatami_size: m, half the side of the ring.
      ant_density, bug_density, spider_density: kg/m^3, of that body (of a spider, the torso alone).

    Raises:
      InputError: a value that no game can have.
    """

    contact_forces: bool = True
    adjust_z: float = -MAT_HEIGHT
    integrator: str = "rk4"
    tatami_size: float = 2.0
    ant_density: float = 13.0
    bug_density: float = 10.0
    spider_density: float = 39.0

    def __post_init__(self) -> None:
        if self.integrator not in ("rk4", "euler"):
            raise unknown("robosumo integrator", self.integrator, ("rk4", "euler"))
        if not math.isfinite(self.adjust_z):
            raise InputError(f"robosumo option adjust_z: expected a finite height in metres, got {self.adjust_z}")
        if not 1.5 <= self.tatami_size <= 100:
            # The robots start 1.15 m from the centre and reach up to 0.9 m around themselves.
            raise InputError(f"robosumo option tatami_size: expected 1.5 to 100 metres, got {self.tatami_size}")
        for name in BODIES:
            density = self.density(name)
            if not 0.1 <= density <= 10000:
                raise InputError(f"robosumo option {name}_density: expected 0.1 to 10000 kg/m^3, got {density}")

    def density(self, body: str) -> float:
        return getattr(self, f"{body}_density")


def parse_settings(options: Mapping[str, str]) -> SumoSettings:
    """The settings that the options of a game's id mean, such as `{"integrator": "euler"}`.

    Raises:
      InputError: an unknown option, or a value that cannot be one of it.
    """
    known = {f.name: f.default for f in fields(SumoSettings)}
    values: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise unknown("robosumo option", name, known)
        if isinstance(known[name], bool):
            if text not in ("on", "off"):
                raise InputError(f"robosumo option {name}: expected on or off, got {text!r}")
            values[name] = text == "on"
        elif isinstance(known[name], float):
            try:
                values[name] = float(text)
            except ValueError:
                raise InputError(f"robosumo option {name}: expected a number, got {text!r}") from None
        else:
            values[name] = text
    return SumoSettings(**values)


def format_settings(settings: SumoSettings) -> str:
    """The options that give `settings`, as they follow the name in a game's id; "" for the original game."""
    parts = []
    for f in fields(settings):
        value = getattr(settings, f.name)
        if value != f.default:
            text = ("off", "on")[value] if isinstance(value, bool) else str(value).removesuffix(".0")
            parts.append(f",{f.name}={text}")
    return "".join(parts)
