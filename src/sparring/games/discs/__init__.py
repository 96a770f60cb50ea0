"""Sumo of two discs in JAX: `discs/duel`, `discs/duel,ring=1.5,drag=1`. Small, fast, and the two seats are alike.

Light on purpose: `games.names()` imports this package, and only `make` loads JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sparring.errors import unknown
from sparring.games.discs.settings import parse_settings

if TYPE_CHECKING:
    from sparring.games.discs.duel import Duel


def names() -> tuple[str, ...]:
    """The one game of this family."""
    return ("duel",)


def make(name: str, num_games: int, threads: int, options: Mapping[str, str]) -> Duel:
    """The game `discs/duel`; the options are the fields of `settings.DuelSettings`.

    Raises:
      InputError: an unknown name or option, or a bad value.
    """
    del threads
    if name not in names():
        raise unknown("discs game", name, names())
    settings = parse_settings(options)
    from sparring.games.discs.duel import Duel

    return Duel(num_games, settings)
