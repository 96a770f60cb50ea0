"""The page of `sparring compare`: one figure and one table, in one HTML file that needs no network and no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparring.answers import CompareResult
from sparring.judgement.words import MEASURES, amount, level
from sparring.records import BudgetChange, Change, Measure
from sparring.report import plots
from sparring.report.templates import rendered, shell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page_of(record: CompareResult) -> tuple[str, str]:
    """The page as HTML, and its figure as SVG; the same record gives the same text."""
    from markupsafe import Markup

    same = record.same_benign
    figure = changes_figure(record)
    say = amount if same else level
    rows = [
        (
            f"{entry.budget:g}",
            MEASURES[measure],
            *(say(measure, number) for number in (found.before, found.after)),
            amount(measure, found.change),
        )
        for entry in record.budgets
        for measure in MEASURES
        if (found := shown_in(entry, measure, same)) is not None
    ]
    values = {
        "record": record,
        "figure": Markup(plots.on_page(figure)),
        "lines": record.text.splitlines(),
        "rows": rows,
        "earlier": [shell(side.command) for side in (record.before, record.after)],
    }
    return rendered("compare.html.j2", values), figure


def changes_figure(record: CompareResult) -> str:
    """Damage before and after by budget, with simultaneous intervals: an SVG of 900 x 420 pixels.

    Where the audits have different benign opponents: what the attacks reach, each number with its own interval.
    """
    same = record.same_benign
    found = [
        (entry.budget, change)
        for entry in record.budgets
        if (change := shown_in(entry, record.measure, same)) is not None
    ]
    share = record.measure in ("win", "fail")
    unit = 100.0 if share else 1.0

    def draw(figure: Figure) -> None:
        import matplotlib.transforms as transforms

        axes = figure.add_subplot()
        places = range(len(found))
        for shift, colour, marker, label, side in (
            (-6, plots.ATTACKER, "o", f"before: {record.before.victim}", "before"),
            (6, plots.BASELINE, "s", f"after: {record.after.victim}", "after"),
        ):
            numbers = [getattr(change, side) for _, change in found]
            values = [unit * (d.value if d.value is not None else (d.low + d.high) / 2) for d in numbers]
            bars = [
                [max(v - unit * d.low, 0) for v, d in zip(values, numbers, strict=True)],
                [max(unit * d.high - v, 0) for v, d in zip(values, numbers, strict=True)],
            ]
            move = axes.transData + transforms.ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
            style = {"ls": "", "ms": 8, "elinewidth": 1.8, "transform": move}
            axes.errorbar(places, values, bars, color=colour, marker=marker, label=label, **style)
            # What is moved by points does not count for the limits by itself.
            axes.update_datalim([(0, unit * end) for d in numbers for end in (d.low, d.high)])
        axes.margins(y=0.1)
        axes.autoscale_view()
        if same:
            axes.axhline(0, color=plots.INK, lw=0.8)
        axes.set_xticks(places, [f"{budget:g}" for budget, _ in found])
        axes.set_xlim(-0.5, len(found) - 0.5)
        axes.set_xlabel("attack budget: probability of control")
        name = MEASURES[record.measure]
        axes.set_ylabel(
            f"damage in the {name}{', points' if share else ''}" if same else f"{name} under attack{', %' * share}"
        )

    title = "Damage before and after" if same else "What attacks reach before and after"
    return plots.svg("compare", title, record.game, 900, 420, draw)


def shown_in(entry: BudgetChange, measure: Measure, same_benign: bool) -> Change | None:
    """What is compared in one measure: the damages, or what the attacks reach where the benign opponents differ."""
    if not same_benign:
        return entry.reached.get(measure)
    return entry.return_ if measure == "return" else getattr(entry, measure)
