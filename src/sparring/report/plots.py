"""Figures as SVG text, the same bytes for the same audit.

Colours are Okabe and Ito's, which the colour-blind can tell apart; what matters has its own marker besides.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

from sparring.answers import AuditResult
from sparring.judgement.words import amount
from sparring.records import BENIGN, EXACT, CurvePoint, Measure, Verdict, damage_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PAPER = "#24292e", "#fefefe"
ATTACKER, BASELINE = "#d55e00", "#0072b2"
# For many lines in one picture, the most important first.
MANY = ("#000000", ATTACKER, BASELINE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#f0e442")
_OTHERS = ("#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = ("s", "^", "D", "v")
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,  # a game's name may contain a dollar sign
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "svg.fonttype": "none",
}


def figures(audit: AuditResult, verdict: Verdict) -> dict[str, str]:
    """The figures of a report as SVG, by name; what was not measured has none."""
    if audit.oracle == EXACT:
        drawn = {"exploitability": exploitability_figure(audit), "shift": exact_shift_figure(audit)}
    else:
        drawn = {
            "damage": damage_figure(audit, verdict.measure),
            "curves": curves_figure(audit),
        }
    return {name: svg for name, svg in drawn.items() if svg}


def damage_figure(audit: AuditResult, measure: Measure) -> str:
    """What the attack reaches by budget, with the baselines and 95% intervals: an SVG of 900 x 420 pixels.

    Shown are the attacker's win rate, the victim's losses, or in a game without winners the victim's mean return.
    """
    results = sorted(audit.budgets, key=lambda result: result.budget)
    budgets = [result.budget for result in results]
    names = [BENIGN, *sorted({name for result in results for name in result.baselines} - {BENIGN})]
    share, key = measure in ("win", "fail"), "victim_return" if measure == "return" else measure
    unit = 100.0 if share else 1.0

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        _intervals(axes, budgets, results, key, unit, "attacker", 0, marker="o", ms=8, lw=2.2, color=ATTACKER, zorder=4)
        for place, name in enumerate(names):
            found = [(r.budget, r.baselines[name]) for r in results if name in r.baselines]
            colour = BASELINE if name == BENIGN else _OTHERS[(place - 1) % len(_OTHERS)]
            label = "benign opponent" if name == BENIGN else f"{name} opponent"
            style = {"marker": "o" if name == BENIGN else _MARKERS[(place - 1) % len(_MARKERS)], "color": colour}
            at, rates = [b for b, _ in found], [r for _, r in found]
            _intervals(axes, at, rates, key, unit, label, 9 * (place + 1), ls="", **style)
        for result in results:
            found = damage_in(result.damage, measure)
            if found is not None and found.low > 0:
                top = getattr(result, f"{key}_ci") or (getattr(result, key),) * 2
                text = amount(measure, found).partition(" [")[0].replace(" point", " pt")
                style: Any = {"ha": "center", "color": ATTACKER, "weight": "bold"}
                text = text if share else f"damage {text}"
                axes.annotate(text, (result.budget, unit * top[1]), (0, 5), textcoords="offset points", **style)
        if share:
            _percent(axes, "win rate in the attacker's seat" if measure == "win" else "losses of the victim")
        else:
            axes.set_ylabel("mean return of the victim")
            axes.margins(y=0.15)
            axes.autoscale_view()
        axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
        axes.set_xlabel("attack budget: probability of control")
        margin = 0.08 * max(max(budgets) - min(budgets), 0.5)
        axes.set_xlim(min(budgets) - margin, max(budgets) + 2 * margin)

    matches = sorted({result.episodes for result in results})
    count = f"{matches[0]}" if len(matches) == 1 else f"{matches[0]} to {matches[-1]}"
    caption = f"{audit.game}, {count} matches per attack, 95% intervals"
    return svg("damage", "Damage by attack budget", caption, 900, 420, draw)


def curves_figure(audit: AuditResult) -> str | None:
    """Win rates, or the victim's mean returns, while the attacks were trained, or None if nothing was recorded."""
    curves = sorted((curve for curve in audit.curves if curve.points), key=lambda curve: curve.budget)
    if not curves:
        return None
    share = all(curve.measure == "win" for curve in curves)
    curves = [curve for curve in curves if share or curve.measure == "return"]
    budgets = sorted({curve.budget for curve in curves})

    def draw(figure: Figure) -> None:
        import matplotlib

        shades = matplotlib.colormaps["viridis"].resampled(256)
        axes = figure.add_subplot()
        labelled = set()
        for curve in curves:
            place = budgets.index(curve.budget) / max(len(budgets) - 1, 1)
            colour = shades(0.1 + 0.7 * place)
            label = None if curve.budget in labelled else f"budget {curve.budget:g}"
            labelled.add(curve.budget)
            _band(axes, curve.points, colour, label, unit=100.0 if share else 1.0)
        if share:
            _percent(axes, "attacker's win rate")
        else:
            axes.set_ylabel("mean return of the victim")
        _steps(axes)

    what = "win rate" if share else "victim's mean return"
    return svg("curves", "Attack training", f"{what} while training, 95% intervals", 900, 380, draw)


def rates_figure(
    panels: Mapping[tuple[str, str], Mapping[str, Sequence[Sequence[Sequence[float]]]]],
    title: str,
    caption: str,
    label: str,
) -> str:
    """Win rates along training, by row and column: per name one colour or dash, per run a line with its 95% band.

    A run is its points, [steps, rate, low, high] each; the names are explained at the end of their row.
    """
    rows, columns = (list(dict.fromkeys(place[axis] for place in panels)) for axis in (0, 1))

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D

        grid = figure.subplots(len(rows), len(columns), sharey=True, squeeze=False)
        for i, row in enumerate(rows):
            names = sorted({name for column in columns for name in panels.get((row, column), {})})
            styles = dict(zip(names, cycle(product(("-", "--"), (ATTACKER, BASELINE, *_OTHERS, INK))), strict=False))
            for j, column in enumerate(columns):
                axes = grid[i][j]
                for name, runs in panels.get((row, column), {}).items():
                    for points in runs:
                        _band(axes, points, styles[name][1], None, styles[name][0])
                axes.annotate(f"{row}, {column}", (0.03, 0.07), xycoords="axes fraction")
                _percent(axes, label if j == 0 else "")
                _steps(axes, "steps of training" if i == len(rows) - 1 else "")
            lines = [Line2D([], [], ls=dash, color=c, lw=2, label=name) for name, (dash, c) in styles.items()]
            grid[i][-1].legend(handles=lines, loc="center left", bbox_to_anchor=(1.03, 0.5), fontsize=10)

    return svg("rates", title, caption, 300 + 240 * len(columns), 130 + 190 * len(rows), draw)


def matrix_figure(names: Sequence[str], rates: Sequence[Sequence[float]], title: str, caption: str) -> str:
    """How often each row wins against each column, as a shaded table; NaN is left empty."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        shades = axes.imshow([[100 * rate for rate in row] for row in rates], vmin=0, vmax=100, cmap="RdBu")
        for i, row in enumerate(rates):
            for j, rate in enumerate(row):
                if rate == rate:
                    colour = "white" if abs(rate - 0.5) > 0.3 else "black"
                    axes.annotate(f"{100 * rate:.0f}", (j, i), ha="center", va="center", color=colour)
        places = range(len(names))
        axes.set_xticks(places, names, rotation=35, ha="right")
        axes.set_yticks(places, names)
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
        figure.colorbar(shades, shrink=0.7, label="win rate of the row, %")

    return svg("matrix", title, caption, 760, 200 + 55 * len(names), draw)


def exploitability_figure(audit: AuditResult) -> str:
    """Expl of the victim and of the most robust one by budget, with the plain opponents: 900 x 420 pixels."""
    results = sorted(audit.budgets, key=lambda result: result.budget)
    budgets = [result.budget for result in results]
    names = sorted({name for result in results for name in result.baselines} - {BENIGN})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        expl, least = [r.expl or 0.0 for r in results], [r.robust_expl or 0.0 for r in results]
        axes.fill_between(budgets, least, expl, color=ATTACKER, alpha=0.1, lw=0, label="gap")
        axes.plot(budgets, expl, color=ATTACKER, lw=2.2, marker="o", ms=7, label="victim", zorder=4)
        axes.plot(budgets, least, color=BASELINE, lw=2.2, marker="s", ms=6, label="most robust victim", zorder=3)
        for name, colour, marker in zip(names, _OTHERS, _MARKERS[1:], strict=False):
            values = [(r.budget, r.baselines[name].victim_value) for r in results if name in r.baselines]
            found = [(budget, -value) for budget, value in values if value is not None]
            style = {"color": colour, "lw": 1.2, "ls": "--", "marker": marker, "ms": 5}
            axes.plot(*zip(*found, strict=True), label=f"{name} opponent", **style)
        axes.set_ylabel("minus the victim's value")
        _budget_axis(axes, budgets)

    caption = f"{audit.game}, victim {audit.victim} in seat {audit.victim_seat}; exact"
    return svg("exploitability", "Exploitability by attack budget", caption, 900, 420, draw)


def exact_shift_figure(audit: AuditResult) -> str | None:
    """The shift of the victim's decision points by budget, or None if it was not computed: 900 x 300 pixels."""
    results = sorted((r for r in audit.budgets if r.shift is not None), key=lambda result: result.budget)
    if not results:
        return None
    budgets = [result.budget for result in results]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        moved = [result.shift or 0.0 for result in results]
        axes.plot(budgets, moved, color=ATTACKER, lw=2.2, marker="o", ms=7, label="best response")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("total variation")
        _budget_axis(axes, budgets)

    return svg("shift", "Visibility", "how far the attack moves where the victim decides", 900, 300, draw)


def defence_figure(curves: Mapping[str, Sequence[Sequence[float]]], optimum: float, title: str, caption: str) -> str:
    """Expl of a victim while it is hardened, [updates, Expl] per point, over the optimum: 900 x 420 pixels."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for (name, points), colour in zip(curves.items(), (ATTACKER, *_OTHERS), strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, lw=2, label=name)
        axes.axhline(optimum, color=BASELINE, lw=2, ls="--", label="most robust victim")
        axes.set_xscale("symlog", linthresh=1)  # the start has a place of its own, at 0
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(left=0)
        axes.set_xlabel("updates")
        axes.set_ylabel("exploitability")

    return svg("curve", title, caption, 900, 420, draw)


def hardening_figure(curve: Sequence[CurvePoint], title: str, caption: str) -> str:
    """The victim's score, its policy's gradient and both entropies while it is hardened by PPO: 1100 x 420 pixels."""

    def draw(figure: Figure) -> None:
        panels: tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...] = (
            ("victim's mean return in training", (("score", "under attack"), ("clean", "against the benign opponent"))),
            ("norm of the victim's policy gradient", (("gradient_norm", None),)),
            (
                "entropy of the policies, nats",
                (("entropy", "the victim's entropy"), ("attacker_entropy", "the attacker's entropy")),
            ),
        )
        for axes, (label, lines) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            for (name, called), colour in zip(lines, (ATTACKER, BASELINE), strict=False):
                points = [(point.steps, value) for point in curve if (value := getattr(point, name)) is not None]
                if points:
                    marker = "o" if len(points) < 3 else ""
                    axes.plot(*zip(*points, strict=True), marker=marker, color=colour, lw=2, label=called)
            _steps(axes, "environment steps")
            axes.set_ylabel(label)

    return svg("hardening", title, caption, 1100, 420, draw)


def on_page(svg: str) -> str:
    """A figure for the inside of a page: without the XML header, in the page's own ink and on its paper."""
    return svg[svg.index("<svg") :].replace(INK, "currentColor").replace(PAPER, "none")


def _intervals(
    axes: Axes, budgets: list[float], rates: list[Any], key: str, unit: float, label: str, shift: float, **style: Any
) -> None:
    """Rates or means with their intervals, moved `shift` points to the right so that none hides another."""
    import matplotlib.transforms as transforms

    shown = [
        (budget, unit * value, [unit * end for end in getattr(entry, f"{key}_ci") or (value, value)])
        for budget, entry in zip(budgets, rates, strict=True)
        if (value := getattr(entry, key)) is not None
    ]
    if not shown:
        return
    at, values, ends = zip(*shown, strict=True)
    # Rounding may leave the rate itself a hair outside of its interval.
    bars = [
        [max(value - low, 0) for value, (low, _) in zip(values, ends, strict=True)],
        [max(high - value, 0) for value, (_, high) in zip(values, ends, strict=True)],
    ]
    move = transforms.ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    defaults = {"ms": 6, "elinewidth": 1.6, "transform": axes.transData + move}
    axes.errorbar(at, values, bars, label=label, **{**defaults, **style})
    # What is moved by points does not count for the limits by itself.
    axes.update_datalim([(x, end) for x, pair in zip(at, ends, strict=True) for end in pair])


def _band(
    axes: Axes,
    points: Sequence[Sequence[float]],
    colour: Any,
    label: str | None,
    dash: str = "-",
    unit: float = 100.0,
) -> None:
    """A line of rates over steps (in percent, if `unit` says so), and the band of its intervals."""
    steps, rate, low, high = ([float(x) for x in column] for column in zip(*points, strict=True))
    axes.fill_between(steps, [unit * x for x in low], [unit * x for x in high], color=colour, alpha=0.18, lw=0)
    axes.plot(steps, [unit * x for x in rate], dash, color=colour, lw=2, label=label)


def _budget_axis(axes: Axes, budgets: list[float]) -> None:
    axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
    axes.set_xlabel("attack budget: probability of control at every decision")


def _steps(axes: Axes, label: str = "environment steps of training") -> None:
    from matplotlib.ticker import EngFormatter

    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _percent(axes: Axes, label: str) -> None:
    axes.set_ylim(-4, 105)  # room for the marker of a rate of 0
    axes.set_yticks(range(0, 101, 25), [f"{tick}%" for tick in range(0, 101, 25)])
    axes.set_ylabel(label)


def svg(name: str, title: str, caption: str, width: int, height: int, draw: Any) -> str:
    """An SVG of `width` x `height` CSS pixels, of which an inch has 96."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # The salt makes the identifiers inside the file the same every time, and different between figures of one page.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"sparring {name}"}):
        figure = Figure(figsize=(width / 96, height / 96), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        FigureCanvasSVG(figure)
        draw(figure)
        axes = figure.axes[0]
        axes.set_title(title, loc="left", weight="bold", size=14, pad=28)
        words = axes.annotate(
            caption, (0, 1), (0, 12), xycoords="axes fraction", textcoords="offset points", alpha=0.75
        )
        words.set_in_layout(False)  # they may be wider than the first of several axes
        handles, labels = axes.get_legend_handles_labels()
        if labels:  # as many columns as have room; a letter takes some 7 pixels, a mark and its margins 60
            columns = max(1, min(5, width // (60 + 7 * max(map(len, labels)))))
            figure.legend(handles, labels, loc="outside lower left", ncols=columns)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": title})
    return buffer.getvalue()
