"""How far attacks of each budget move what robots see: Figures 1, 3 and 7 in RoboSumo, on victims that can be attacked.

The victims are the early ant, `builtin:bug` and the published MLP spider; attackers start from `builtin:ant` and the
published LSTM agents, which are stronger. Training uses the Euler integrator, tests RK4. The published agents lie in
the folder `zoo`. See `sparring.studies.stealth`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparring.studies import stealth_tables as tables
from sparring.studies.stealth import ZOO, Row, Settings, World, cells, check, run

__all__ = ["PRESETS", "Settings", "cells", "check", "figure", "run", "summary"]


def sumo(robot: str, victim: str, start: str, options: str = "") -> World:
    """Two robots of a kind; attackers are trained with the Euler integrator."""
    game = f"robosumo/{robot}-vs-{robot}{options}"
    return World(game, victim, start, f"{game},integrator=euler")


def worlds(options: str = "") -> tuple[World, ...]:
    """The victims that can be attacked, one of each kind of robot."""
    return (
        sumo("ant", "builtin:ant-early", "builtin:ant", options),
        sumo("bug", "builtin:bug", f"robosumo-zoo:{ZOO}/bug-lstm-v1.npy", options),
        sumo("spider", f"robosumo-zoo:{ZOO}/spider-mlp-v1.npy", f"robosumo-zoo:{ZOO}/spider-lstm-v1.npy", options),
    )


WORLDS = worlds()
SMOKE = (WORLDS[0],)
PENALTIES = (0.001, 0.01)
PRESETS = {
    "smoke": Settings(SMOKE, 1, 8_192, 40, (0.3, 1.0), (0.01,), 1, 40),
    "standard": Settings(WORLDS, 3, 500_000, 400, penalties=PENALTIES, checkpoints=8, fresh=2000),
    "paper": Settings(WORLDS, 5, 20_000_000, 1000, penalties=PENALTIES, checkpoints=32, fresh=2000),
}


def figure(rows: Sequence[Row]) -> str:
    """Figures 1, 3 and 7."""
    return tables.figure(rows, "sumo-stealth", "How visible attacks on robots are (Figures 1, 3, 7)")


summary = tables.summary
