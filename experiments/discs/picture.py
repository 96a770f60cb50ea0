"""The README's picture: two audits of the discs side by side.

    python experiments/discs/picture.py AUDIT_OF_THE_EARLY_DISC AUDIT_OF_THE_LAST_DISC docs/damage.svg

The audits are those that `make audit` makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sparring.answers import AuditResult
from sparring.files import write_atomic
from sparring.records import Rates
from sparring.report import plots
from sparring.results import read_audit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = ("after 1 million steps: it gives way", "after 8 million steps: it stands")


def picture(audits: tuple[AuditResult, AuditResult]) -> str:
    """Win rates in the attacker's seat by budget, with 95% intervals: an SVG of 900 x 420 pixels."""

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, audit, title in zip(panels, audits, TITLES, strict=True):
            _panel(axes, audit, title)
        panels[0].set_ylabel("win rate in the attacker's seat")
        panels[0].set_ylim(25, 80)
        panels[0].set_yticks(range(25, 76, 25), [f"{tick}%" for tick in range(25, 76, 25)])

    caption = f"discs/duel, {audits[0].budgets[0].episodes} matches per attack, 95% intervals"
    return plots.svg("picture", "Two discs in a ring, attacked", caption, 900, 420, draw)


def _panel(axes: Axes, audit: AuditResult, title: str) -> None:
    results = sorted(audit.budgets, key=lambda result: result.budget)
    budgets = [result.budget for result in results]
    _line(axes, budgets, list(results), "attacker", plots.ATTACKER, "-")
    benign = [result.baselines["benign"] for result in results]
    _line(axes, budgets, benign, "benign opponent", plots.BASELINE, "")
    axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
    axes.set_xlabel("attack budget: probability of control")
    axes.set_xlim(0.2, 1.1)
    axes.annotate(title, (0.03, 0.93), xycoords="axes fraction", weight="bold")


def _line(axes: Axes, budgets: list[float], rates: list[Rates], label: str, colour: str, dash: str) -> None:
    shown = [(b, r.win, r.win_ci) for b, r in zip(budgets, rates, strict=True) if r.win is not None and r.win_ci]
    bars = [[100 * (win - ci[0]) for _, win, ci in shown], [100 * (ci[1] - win) for _, win, ci in shown]]
    at = [budget + (0.012 if not dash else 0.0) for budget, _, _ in shown]
    axes.errorbar(at, [100 * win for _, win, _ in shown], bars, ls=dash, marker="o", ms=7, color=colour, label=label)


if __name__ == "__main__":
    early, last, target = sys.argv[1:]
    write_atomic(Path(target), picture((read_audit(early), read_audit(last))).encode())
