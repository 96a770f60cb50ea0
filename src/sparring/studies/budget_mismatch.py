"""Table 4 in RoboSumo: victims hardened by two timescales at each budget, attacked at each budget.

The settings are those of `sumo_defence`. See `sparring.studies.hardening`.
"""

from __future__ import annotations

from sparring.studies import hardening_tables as tables
from sparring.studies.hardening import NONE, TWO, Row, Settings, cells, run
from sparring.studies.sumo_defence import BUDGETS, GAME, WORLD

__all__ = ["PRESETS", "Settings", "cells", "figure", "run", "summary"]

METHODS = (NONE, TWO)
PRESETS = {
    "smoke": Settings(WORLD, 1, 16_384, 16_384, 16, METHODS, mismatch=(0.3, 1.0)),
    "standard": Settings(WORLD, 1, 3_000_000, 1_000_000, 400, METHODS, mismatch=BUDGETS),
    "paper": Settings(WORLD, 5, 30_000_000, 20_000_000, 1000, METHODS, mismatch=BUDGETS),
}


def figure(rows: list[Row]) -> str:
    """The trainings, and what the victims lose at the largest budget."""
    return tables.figure(rows, "budget-mismatch", GAME)


summary = tables.summary
