"""Which hardening makes a disc robust: Figure 4 and Table 4 in `discs/duel`, for every method at equal steps.

Every victim starts as `builtin:disc-early`, which loses nearly every match to a trained attacker. See
`sparring.studies.hardening`.
"""

from __future__ import annotations

from sparring.studies import hardening_tables as tables
from sparring.studies.hardening import METHODS, NONE, SINGLE, TWO, Row, Settings, World, cells, run

__all__ = ["PRESETS", "Settings", "cells", "figure", "run", "summary"]

GAME, VICTIM, STRONG = "discs/duel", "builtin:disc-early", "builtin:disc"
WORLD = World(GAME, VICTIM, VICTIM, starts=(STRONG, "benign"), others=(STRONG,), learning_rate=3e-4)
BUDGETS = (0.3, 0.7, 1.0)
PRESETS = {
    "smoke": Settings(WORLD, 1, 16_384, 8_192, 16, (NONE, TWO, SINGLE)),
    "standard": Settings(WORLD, 3, 6_000_000, 1_000_000, 400, (*METHODS[:3], *METHODS[4:7])),
    "paper": Settings(WORLD, 10, 6_000_000, 2_000_000, 1000, mismatch=BUDGETS),
}


def figure(rows: list[Row]) -> str:
    """Figure 4."""
    return tables.figure(rows, "discs-defence", GAME)


summary = tables.summary
