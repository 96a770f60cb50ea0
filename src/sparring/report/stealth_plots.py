"""Figures about what is certain and how visible an attack is: SVG text, the same bytes for the same record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparring.answers import AuditResult
from sparring.records import BENIGN, EXACT, Measure
from sparring.report.plots import ATTACKER, BASELINE, MANY, svg
from sparring.visibility import Coupling, CouplingPoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST = 1e-4  # the smallest budget that has a place of its own on the axis


def certified(point: CouplingPoint, measure: Measure, value_is: str) -> float | None:
    """What no attack can pass at one budget, in a measure of damage; None: nothing is known."""
    if measure == "win":
        return point.attacker_win_upper
    if measure == "fail":
        return None if point.non_fail_lower is None else 1 - point.non_fail_lower
    return point.value_lower if value_is in ("return", "value") else None


def bracket_figure(audit: AuditResult, measure: Measure) -> str | None:
    """What no attack can pass, and what the strongest learned ones reach, by budget: 900 x 420 pixels.

    An attack with a larger budget can do what one with a smaller budget does, so the truth lies above all attacks to
    its left and below the bound. None where nothing is certain.
    """
    certain = audit.coupling
    if certain is None:
        return None
    curve = [(p.budget, found) for p in certain.curve if (found := certified(p, measure, certain.value_is)) is not None]
    if not curve:
        return None
    share, exact = measure in ("win", "fail"), audit.oracle == EXACT
    key = measure if share else f"victim_{measure}"
    unit, worse = (100.0, max) if share else (1.0, min)
    results = sorted(audit.budgets, key=lambda result: result.budget)
    reached = [(result, value) for result in results if (value := getattr(result, key)) is not None]
    benign = getattr(results[0].baselines[BENIGN], key)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        budgets, bounds = [budget for budget, _ in curve], [unit * bound for _, bound in curve]
        axes.plot(budgets, bounds, color=BASELINE, lw=2.2, label="certified: no attack passes this")
        if exact:
            at, values = [result.budget for result, _ in reached], [unit * value for _, value in reached]
            axes.plot(at, values, color=ATTACKER, lw=2.2, marker="o", ms=7, label="the worst attack, exact")
        else:
            steps = [(0.0, benign), *((result.budget, value) for result, value in reached)]
            known = [(budget, value) for budget, value in steps if value is not None]
            level = [worse([value for at, value in known if at <= budget], default=np.nan) for budget in budgets]
            floor = [unit * value for value in level]
            axes.step(budgets, floor, where="post", color=ATTACKER, lw=1.2)
            axes.fill_between(budgets, floor, bounds, color=BASELINE, alpha=0.1, lw=0, label="the truth lies here")
            for number, (result, value) in enumerate(reached):
                low, high = getattr(result, f"{key}_ci") or (value, value)
                bars = [[unit * max(value - low, 0)], [unit * max(high - value, 0)]]
                label = "the strongest attack found" if number == 0 else None
                axes.errorbar([result.budget], [unit * value], bars, marker="o", ms=7, color=ATTACKER, label=label)
        if certain.vacuous_above < 0.95:
            axes.axvline(certain.vacuous_above, color=BASELINE, lw=1, ls=":", label="nothing is certain beyond")
        if not exact:  # where budgets are small, there is much to see
            axes.set_xscale("symlog", linthresh=_LEAST, linscale=0.3)
        axes.set_xlim(0, 1.02 if exact else 1.15)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("attack budget: probability of control")
        if share:
            axes.set_ylim(-4, 105)
            axes.set_ylabel("attacker's wins, %" if measure == "win" else "losses of the victim, %")
        else:
            axes.set_ylabel("victim's mean return" if measure == "return" else "victim's value")

    how = f"{certain.confidence:.0%} confidence, {certain.matches} benign matches" if certain.matches else "computed"
    return svg("bracket", "What is certain, and what was found", f"{audit.game}; bound: {how}", 900, 420, draw)


def certificate_figure(
    certain: Coupling, game: str, worst: Sequence[tuple[float, float]] = (), paper: Sequence[tuple[float, float]] = ()
) -> str:
    """The bound of a certificate by budget, beside what is true where that is known: 900 x 420 pixels.

    Args:
      certain: the certificate.
      game: its name.
      worst: budgets, and the victim's value under the worst attack.
      paper: budgets, and what Proposition 3.1 leaves of the victim's value.
    """
    points = [(point.budget, point.value_lower) for point in certain.curve if point.value_lower is not None]
    least = certain.value_low

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(*zip(*points, strict=True), color=BASELINE, lw=2.2, label="certified: no attack brings it lower")
        if worst:
            axes.plot(*zip(*worst, strict=True), color=ATTACKER, lw=2.2, label="the worst attack, exact")
        if paper:
            below = [(budget, max(bound, least)) for budget, bound in paper]
            axes.plot(*zip(*below, strict=True), color=MANY[4], lw=1.6, ls="--", label="Proposition 3.1")
        axes.axhline(certain.at_least, color=MANY[7], lw=1, ls=":", label="the threshold of the certified budget")
        axes.set_xscale("symlog", linthresh=_LEAST, linscale=0.3)
        axes.set_xlim(0, 1.15)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("attack budget: probability of control")
        share = certain.value_is == "non-fail"
        axes.set_ylabel("share of matches not lost" if share else f"victim's {certain.value_is}")

    how = f"{certain.confidence:.0%} confidence, {certain.matches} benign matches" if certain.matches else "computed"
    return svg("certificate", "What no attacker can do", f"{game}; {how}", 900, 420, draw)
