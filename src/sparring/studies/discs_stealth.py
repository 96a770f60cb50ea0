"""What a small budget and hiding cost, and what they hide: Figures 1, 3, 6 and 7 in `discs/duel`, with ten seeds.

The victim is `builtin:disc-early`, which can be attacked; attackers start from `builtin:disc`. See
`sparring.studies.stealth`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparring.studies import stealth_tables as tables
from sparring.studies.stealth import Row, Settings, World, cells, run

__all__ = ["PRESETS", "Settings", "cells", "figure", "run", "summary"]

GAME = "discs/duel"
WORLD = World(GAME, "builtin:disc-early", "builtin:disc")
PENALTIES = (0.003, 0.01, 0.03, 0.1)
PRESETS = {
    "smoke": Settings((WORLD,), 1, 16_384, 40, (0.3, 1.0), (0.03,), 2, 40),
    "standard": Settings((WORLD,), 3, 1_000_000, 400, penalties=PENALTIES, checkpoints=16, fresh=2000),
    "paper": Settings((WORLD,), 10, 2_000_000, 400, penalties=PENALTIES, checkpoints=16, fresh=2000),
}


def figure(rows: Sequence[Row]) -> str:
    """Figures 1, 3, 6 and 7."""
    return tables.figure(rows, "discs-stealth", GAME)


summary = tables.summary
