"""The page of `sparring compare`: one figure and one table, in one HTML file that needs no network and no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparring.answers import CompareResult
from sparring.judgement.words import MEASURES, amount
from sparring.records import BudgetChange, Change, Measure
from sparring.report import plots
from sparring.report.templates import rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page_of(record: CompareResult) -> tuple[str, str]:
    """The page as HTML, and its figure as SVG; the same record gives the same text."""
    from markupsafe import Markup

    figure = damage_figure(record)
    rows = [
        (
            f"{entry.budget:g}",
            MEASURES[measure],
            *(amount(measure, d) for d in (found.before, found.after, found.change)),
        )
        for entry in record.budgets
        for measure in MEASURES
        if (found := _of(entry, measure)) is not None
    ]
    values = {
        "record": record,
        "figure": Markup(plots.on_page(figure)),
        "lines": record.text.splitlines(),
        "rows": rows,
    }
    return rendered("compare.html.j2", values), figure


def damage_figure(record: CompareResult) -> str:
    """Damage before and after by budget, with simultaneous intervals: an SVG of 900 x 420 pixels."""
    found = [(entry.budget, change) for entry in record.budgets if (change := _of(entry, record.measure)) is not None]
    unit = 100.0 if record.measure in ("win", "fail") else 1.0

    def draw(figure: Figure) -> None:
        import matplotlib.transforms as transforms

        axes = figure.add_subplot()
        places = range(len(found))
        for shift, colour, marker, label, side in (
            (-6, plots.ATTACKER, "o", f"before: {record.before.victim}", "before"),
            (6, plots.BASELINE, "s", f"after: {record.after.victim}", "after"),
        ):
            damages = [getattr(change, side) for _, change in found]
            values = [unit * (d.value if d.value is not None else (d.low + d.high) / 2) for d in damages]
            bars = [
                [max(v - unit * d.low, 0) for v, d in zip(values, damages, strict=True)],
                [max(unit * d.high - v, 0) for v, d in zip(values, damages, strict=True)],
            ]
            move = axes.transData + transforms.ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
            style = {"ls": "", "ms": 8, "elinewidth": 1.8, "transform": move}
            axes.errorbar(places, values, bars, color=colour, marker=marker, label=label, **style)
            # What is moved by points does not count for the limits by itself.
            axes.update_datalim([(0, unit * end) for d in damages for end in (d.low, d.high)])
        axes.margins(y=0.1)
        axes.autoscale_view()
        axes.axhline(0, color=plots.INK, lw=0.8)
        axes.set_xticks(places, [f"{budget:g}" for budget, _ in found])
        axes.set_xlim(-0.5, len(found) - 0.5)
        axes.set_xlabel("attack budget: probability of control")
        axes.set_ylabel(f"damage in the {MEASURES[record.measure]}{', points' if unit > 1 else ''}")

    return plots.svg("compare", "Damage before and after", record.game, 900, 420, draw)


def _of(entry: BudgetChange, measure: Measure) -> Change | None:
    return entry.return_ if measure == "return" else getattr(entry, measure)
