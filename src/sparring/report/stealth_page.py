"""The page about how visible attacks are: one HTML file that needs no network and no script."""

from __future__ import annotations

from typing import Any

from sparring.answers import StealthResult
from sparring.judgement.seen import seen_line
from sparring.judgement.words import amount, mean, rate, shown
from sparring.records import EXACT, Measure, damage_in
from sparring.report import plots
from sparring.report.stealth_plots import CAPTIONS, stealth_figures
from sparring.report.templates import rendered, shell


def stealth_page(result: StealthResult) -> tuple[str, dict[str, str]]:
    """The page, and its figures as SVG by name; the same record gives the same text."""
    from markupsafe import Markup

    exact = result.oracle == EXACT
    measure: Measure = "value" if exact else "win" if result.baseline.win is not None else "return"
    several = len({row.attacker for row in result.rows}) > 1
    labels = [f"{row.attacker} at {row.budget:g}" if several else f"budget {row.budget:g}" for row in result.rows]
    seen = [row.visibility for row in result.rows]
    damage = [damage_in(row.damage, measure) for row in result.rows]
    figures = {} if exact else stealth_figures(seen, labels, damage, measure)
    values: dict[str, Any] = {
        "result": result,
        "exact": exact,
        "attacks": list(zip(labels, result.rows, damage, strict=True)),
        "labels": labels,
        "seen": seen,
        "measure": measure,
        "amount": amount,
        "rate": rate,
        "mean": mean,
        "number": shown,
        "told": [seen_line(one, label) for one, label in zip(seen, labels, strict=True)],
        "stealth": [(name, *words) for name, words in CAPTIONS.items() if name in figures],
        "figures": {name: Markup(plots.on_page(svg)) for name, svg in figures.items()},
        "commands": [shell(result.command)],
        "earlier": [],
    }
    return rendered("stealth.html.j2", values), figures
