"""Which hardening makes a robot robust: Figure 4 in RoboSumo, victims that can be attacked, at equal steps.

Every victim starts as `builtin:ant-early`. Training uses the Euler integrator, tests RK4. The fresh attackers start
from the benign opponent's weights and from `builtin:ant`, which is also tried as it is. See
`sparring.studies.hardening`.
"""

from __future__ import annotations

from sparring.studies import hardening_tables as tables
from sparring.studies.hardening import NONE, SINGLE, TWO, Row, Settings, World, cells, run

__all__ = ["PRESETS", "Settings", "cells", "figure", "run", "summary"]

GAME, VICTIM, STRONG = "robosumo/ant-vs-ant", "builtin:ant-early", "builtin:ant"
WORLD = World(
    GAME,
    VICTIM,
    VICTIM,
    starts=(STRONG, "benign"),
    others=(STRONG,),
    train_game=f"{GAME},integrator=euler",
    learning_rate=1e-4,
    training=(("minibatch", 2048),),
)
METHODS = (NONE, TWO, SINGLE, "self-play", "fictitious-play")
BUDGETS = (0.3, 0.7, 1.0)
PRESETS = {
    "smoke": Settings(WORLD, 1, 16_384, 16_384, 16, (NONE, TWO)),
    "standard": Settings(WORLD, 3, 3_000_000, 1_000_000, 400, METHODS, tests=BUDGETS),
    "paper": Settings(WORLD, 5, 30_000_000, 20_000_000, 1000, METHODS, tests=BUDGETS),
}


def figure(rows: list[Row]) -> str:
    """Figure 4."""
    return tables.figure(rows, "sumo-defence", GAME)


summary = tables.summary
