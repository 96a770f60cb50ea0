"""Figures about what is certain and how visible an attack is: SVG text, the same bytes for the same record."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from sparring.answers import AuditResult
from sparring.records import BENIGN, EXACT, Difference, Measure
from sparring.report.plots import ATTACKER, BASELINE, INK, MANY, svg
from sparring.visibility import Area, Coupling, CouplingPoint, Visibility

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES = ("#e69f00", ATTACKER, "#7a2048", "#009e73", "#cc79a7", "#000000")  # of attacks, one after the other
ALL = "all features"
_LEAST = 1e-4  # the smallest budget that has a place of its own on the axis


CAPTIONS = {
    "front": (
        "Damage against visibility",
        "An attack that is strong and hidden lies at the upper left.",
    ),
    "densities": (
        "Densities of the features that the attacks move most",
        "The shaded density is that of benign matches.",
    ),
    "distances": (
        "Distances between the states under the attack and under the benign opponent",
        "A mark inside of the shaded band shows nothing: two samples of benign matches are as far apart. Bands and "
        "p-values are made by drawing whole matches.",
    ),
    "roc": (
        "What a classifier tells from matches that it has not seen",
        "The classifier was trained on attacked matches of this attacker, which a defender may not have.",
    ),
    "detection": (
        "Share of matches with an alarm by each step",
        "The detector was fitted on half of the attacked matches and tried on the others. Its threshold comes from "
        "benign matches alone.",
    ),
}


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
            axes.fill_between(
                budgets, floor, bounds, step="post", color=BASELINE, alpha=0.1, lw=0, label="the truth lies here"
            )
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


def stealth_figures(
    seen: Sequence[Visibility], labels: Sequence[str], damage: Sequence[Difference | None], measure: Measure
) -> dict[str, str]:
    """The figures about how visible attacks are, by name; what was not measured has none.

    Args:
      seen: one record for each attack.
      labels: what the attacks are called.
      damage: what each costs the victim; None: not known.
      measure: in which it is told.
    """
    drawn = {
        "distances": distances_figure(seen, labels),
        "roc": roc_figure(seen, labels),
        "densities": densities_figure(seen, labels),
        "detection": detection_figure(seen, labels),
        "front": front_figure(seen, labels, damage, measure),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def distances_figure(seen: Sequence[Visibility], labels: Sequence[str]) -> str | None:
    """Distances of the states over all features, with intervals, over what benign matches show: one panel a measure."""
    rows = [[d for d in one.distances if d.features == ALL and d.value is not None] for one in seen]
    measures = list(dict.fromkeys(d.measure for row in rows for d in row))
    if not measures:
        return None
    columns = min(len(measures), 4)
    lines = -(-len(measures) // columns)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, measure in zip_longest(grid.flat, measures):
            if measure is None:
                axes.set_visible(False)
                continue
            for place, row in enumerate(rows):
                for d in (d for d in row if d.measure == measure):
                    first = place == 0 and measure == measures[0]
                    if d.floor_low is not None and d.floor_high is not None:
                        axes.fill_betweenx(
                            [place - 0.4, place + 0.4],
                            d.floor_low,
                            d.floor_high,
                            color=BASELINE,
                            alpha=0.25,
                            lw=0,
                            label="benign against benign, 95%" if first else None,
                        )
                    assert d.value is not None
                    axes.plot([d.value], [place], "o", ms=7, color=ATTACKER, label="attack" if first else None)
            axes.set_yticks(range(len(labels)), labels if axes in grid[:, 0] else [""] * len(labels))
            axes.set_ylim(len(labels) - 0.4, -0.6)
            axes.grid(False)
            axes.set_xlabel(measure, fontsize=9)
            axes.locator_params(axis="x", nbins=3)

    return svg("distances", "How far the states move", "marks, over the noise floor", 900, 120 + 150 * lines, draw)


def roc_figure(seen: Sequence[Visibility], labels: Sequence[str]) -> str | None:
    """ROC curves of classifiers on matches that they have not seen: of steps, of windows and of whole matches."""
    panels = (("single steps", "auc_state"), ("the last steps", "auc_window"), ("whole matches", "auc_match"))
    if not any(getattr(one, name) for one in seen for _, name in panels):
        return None

    def draw(figure: Figure) -> None:
        for axes, (title, name) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
            axes.plot([0, 100], [0, 100], color=INK, lw=0.8, ls=":")
            for one, label, colour in zip(seen, labels, cycle(SHADES)):
                area: Area | None = getattr(one, name)
                if area is not None and area.roc:
                    at = np.linspace(0, 100, len(area.roc))
                    axes.plot(at, [100 * x for x in area.roc], color=colour, lw=2, label=_once(axes, title, label))
                    last = f"{label}: {area.value:.2f} [{area.low:.2f}, {area.high:.2f}]"
                    place = 0.06 + 0.09 * list(labels).index(label)
                    axes.annotate(last, (0.98, place), xycoords="axes fraction", ha="right", fontsize=9, color=colour)
            axes.set_xlabel(f"false alarms, %: {title}")
            axes.set_ylabel("true alarms, %" if name == "auc_state" else "")

    return svg(
        "roc", "What a classifier tells apart", "ROC curves, and AUC with its 95% interval over matches", 900, 380, draw
    )


def _once(axes: Axes, title: str, label: str) -> str | None:
    """A label for the legend, which looks at the first panel alone."""
    del axes
    return label if title == "single steps" else None


def densities_figure(seen: Sequence[Visibility], labels: Sequence[str]) -> str | None:
    """How often the features that the attacks move most have which value, with and without them."""
    features = list(dict.fromkeys(density.feature for one in seen for density in one.densities))[:3]
    if not features:
        return None

    def draw(figure: Figure) -> None:
        for axes, feature in zip(figure.subplots(1, len(features), squeeze=False)[0], features, strict=True):
            told = False
            for one, label, colour in zip(seen, labels, cycle(SHADES)):
                for density in (d for d in one.densities if d.feature == feature):
                    width = np.diff(density.edges)
                    if not told:
                        name = "benign" if feature == features[0] else None
                        axes.stairs(
                            density.benign / width, density.edges, fill=True, color=BASELINE, alpha=0.25, label=name
                        )
                        told = True
                    name = label if feature == features[0] else None
                    axes.stairs(density.attacked / width, density.edges, color=colour, lw=1.8, label=name)
            axes.set_xlabel(feature)
            axes.set_yticks([])

    caption = "densities over steps of the features that the attacks move most"
    return svg("densities", "What the victim sees", caption, 900, 340, draw)


def detection_figure(seen: Sequence[Visibility], labels: Sequence[str]) -> str | None:
    """The share of matches with an alarm by each step, by a detector with a certified rate of false alarms."""
    found = [(one.online[0], label) for one, label in zip(seen, labels, strict=True) if one.online]
    if not found:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for (one, label), colour in zip(found, cycle(SHADES)):
            axes.step(one.at_step, [100 * x for x in one.caught_by], where="post", color=colour, lw=2.2, label=label)
        one = found[-1][0]
        false = [100 * x for x in one.false_by]
        axes.step(one.at_step, false, where="post", color=BASELINE, lw=1.4, ls="--", label="benign: false alarms")
        axes.set_xlabel("step of the match")
        axes.set_ylabel("matches with an alarm, %")
        axes.set_ylim(-4, 105)

    caption = f"{found[-1][0].statistic}, asked for at most {found[-1][0].alpha:.0%} false alarms per match"
    return svg("detection", "When the attack is detected", caption, 900, 360, draw)


def front_figure(
    seen: Sequence[Visibility], labels: Sequence[str], damage: Sequence[Difference | None], measure: Measure
) -> str | None:
    """Damage against visibility, each attack a point with both intervals."""
    unit = 100.0 if measure in ("win", "fail") else 1.0
    what = {"win": "attacker's wins, points", "fail": "victim's losses, points"}.get(measure, f"victim's {measure}")
    known = [
        (one.auc_match, cost, label)
        for one, cost, label in zip(seen, damage, labels, strict=True)
        if one.auc_match is not None and cost is not None and cost.value is not None
    ]
    if not known:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for (area, cost, label), colour in zip(known, cycle(SHADES)):
            assert cost.value is not None
            across = [[max(area.value - area.low, 0)], [max(area.high - area.value, 0)]]
            up = [[unit * max(cost.value - cost.low, 0)], [unit * max(cost.high - cost.value, 0)]]
            axes.errorbar([area.value], [unit * cost.value], up, across, marker="o", ms=8, color=colour, label=label)
        axes.axvline(0.5, color=BASELINE, lw=1, ls=":", label="chance")
        if (floor := next((one.auc_floor for one in seen if one.auc_floor is not None), None)) is not None:
            axes.axvspan(floor.low, floor.high, color=BASELINE, alpha=0.15, lw=0, label="benign against benign, 95%")
        axes.axhline(0, color=INK, lw=0.8)
        axes.set_xlabel("AUC of whole matches")
        axes.set_ylabel(f"damage: {what}")

    return svg("front", "Damage against visibility", "up: more harm; left: harder to detect", 900, 380, draw)
