"""Which hardening makes a prey robust: Figure 4 in JaxMARL's simple tag, a team of three attackers against one victim.

The victim is the prey, the attackers are the three predators, which otherwise move at random. Nobody wins, so what the
victim loses is minus its return: 10 for every touch. All victims begin with random weights; `none` is trained for as
many steps against the random predators. See `sparring.studies.hardening`.
"""

from __future__ import annotations

from sparring.studies import hardening_tables as tables
from sparring.studies.hardening import NONE, RETURN, SCRATCH, SINGLE, TWO, Row, Settings, World, cells, run

__all__ = ["PRESETS", "Settings", "cells", "figure", "run", "summary"]

GAME = "jaxmarl/MPE_simple_tag_v3"
WORLD = World(GAME, SCRATCH, "random", starts=(SCRATCH, SCRATCH), victim_seat="agent_0", learning_rate=3e-4)
METHODS = (NONE, TWO, SINGLE, "alternating", "min-oracle", "self-play", "fictitious-play", "regularised")
PRESETS = {
    "smoke": Settings(WORLD, 1, 51_200, 51_200, 16, (NONE, TWO)),
    "standard": Settings(WORLD, 3, 2_000_000, 1_000_000, 400, METHODS),
    "paper": Settings(WORLD, 5, 4_000_000, 2_000_000, 1000, METHODS),
}


def figure(rows: list[Row]) -> str:
    """Figure 4."""
    return tables.figure(rows, "tag-defence", GAME, RETURN)


def summary(rows: list[Row]) -> str:
    """The tables, in returns."""
    return tables.summary(rows, RETURN)
