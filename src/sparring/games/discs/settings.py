"""The options of `discs/duel`. They are read before JAX is loaded, so that a bad one is refused at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from sparring.errors import InputError, unknown

RADIUS = 0.2  # m, of a disc


@dataclass(frozen=True)
class DuelSettings:
    """What may differ from the plain game; every field is also an option of the game's id.

    Attributes:
      ring: m, the radius of the ring.
      limit: steps, the longest match; one step is 0.05 s.
      drag: 1/s; a disc's top speed is 2.5/drag m/s in each component.
      restitution: of a collision, from 0 (the discs stay together) to 1 (no energy is lost).

    Raises:
      InputError: a value that no game can have.
    """

    ring: float = 1.0
    limit: int = 100
    drag: float = 1.0
    restitution: float = 1.0

    def __post_init__(self) -> None:
        # At the start the centres are at least 0.69 rings apart, and the discs must not touch.
        _within("ring", self.ring, 4 * RADIUS, 100, "metres")
        _within("limit", self.limit, 1, 100_000, "steps")
        # In one step two discs at their top speeds come nearer by less than a diameter: none passes through the other.
        _within("drag", self.drag, 0.9, 20, "per second")
        _within("restitution", self.restitution, 0, 1, "(1: elastic)")


def parse_settings(options: Mapping[str, str]) -> DuelSettings:
    """The settings that the options of a game's id mean, such as `{"ring": "1.5"}`.

    Raises:
      InputError: an unknown option, or a value that cannot be one of it.
    """
    kinds = {f.name: type(f.default) for f in fields(DuelSettings)}
    values = {}
    for name, text in options.items():
        if name not in kinds:
            raise unknown("discs option", name, kinds)
        try:
            values[name] = kinds[name](text)
        except ValueError:
            kind = "a whole number" if kinds[name] is int else "a number"
            raise InputError(f"discs option {name}: expected {kind}, got {text!r}") from None
    return DuelSettings(**values)


def _within(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise InputError(f"discs option {name}: expected {low:g} to {high:g} {unit}, got {value}")
