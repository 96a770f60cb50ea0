"""What a smaller budget costs the attacker and what it hides: Figure 6 in RoboSumo, over more budgets.

Victims and attackers are those of `sumo_stealth`; no attacker hides, and no pairs are matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparring.report.plots import svg
from sparring.studies import stealth_tables as tables
from sparring.studies.stealth import Row, Settings, cells, check, run
from sparring.studies.sumo_stealth import SMOKE, WORLDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PRESETS", "Settings", "cells", "check", "figure", "run", "summary"]

BUDGETS = (0.1, 0.3, 0.5, 0.7, 1.0)
PRESETS = {
    "smoke": Settings(SMOKE, 1, 8_192, 20, (0.3, 1.0)),
    "standard": Settings(WORLDS, 1, 500_000, 400, BUDGETS),
    "paper": Settings(WORLDS, 5, 20_000_000, 1000, BUDGETS),
}


def figure(rows: Sequence[Row]) -> str:
    """Figure 6, and the same attacks by how visible they are; a line of panels for each world."""
    found = tables.worlds(rows)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(found), 2, squeeze=False)
        for (world, own), (reached, front) in zip(found.items(), grid, strict=True):
            tables.draw_reached(reached, own)
            tables.draw_front(front, own)
            for axes in (reached, front):
                axes.legend(fontsize=8)
            reached.set_xlabel(f"attack budget in {world.removeprefix('robosumo/')}")

    caption = "left: wins and non-fails; right: wins against how well whole matches are told apart"
    return svg("tradeoff", "Winning rate and stealth by budget (Figure 6)", caption, 1000, 400 * len(found), draw)


summary = tables.summary
