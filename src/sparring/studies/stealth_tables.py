"""What the rows of a study of stealth show: a figure, tables, and a verdict for each of the paper's claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.console import number, settled
from sparring.metrics.intervals import student, wilson
from sparring.report.plots import ATTACKER, BASELINE, MANY, svg
from sparring.studies.stealth import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DISTANCES = {"wasserstein2": "squared Wasserstein-2", "kl": "KL", "hellinger": "squared Hellinger"}
TOLD = ("wasserstein2", "kl", "hellinger", "total-variation", "auc_state", "auc_match")


def worlds(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each world, in the order of the study."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["world"], []).append(row)
    return found


def attacks(rows: Sequence[Row]) -> list[str]:
    """The attacks, in the order of the study."""
    return list(dict.fromkeys(row["attack"] for row in rows if row["kind"] == "attack"))


def plain(rows: Sequence[Row]) -> list[str]:
    """Those that do not hide, by budget."""
    return [attack for attack in attacks(rows) if attack.startswith("budget")]


def of(rows: Sequence[Row], attack: str) -> list[Row]:
    return [row for row in rows if row["kind"] == "attack" and row["attack"] == attack]


def wins(row: Row) -> float:
    return row["wins"] / row["matches"]


def not_failed(row: Row) -> float:
    return 1 - row["fails"] / row["matches"]


def value(row: Row, name: str) -> float:
    """A number of a row; a distance without the mean of its noise floor."""
    return known(row.get(f"{name}_corrected", row[name]))


def mean(values: Sequence[float], form: str = ".3g") -> str:
    """Mean over seeds with Student's 95% interval; of what is known."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return "not known"
    middle, low, high = student(known)
    return f"{middle:{form}}" if np.isnan(low) else f"{middle:{form}} [{low:{form}}, {high:{form}}]"


def pairs(rows: Sequence[Row]) -> dict[float, list[tuple[Row, Row]]]:
    """Matched attacks by the constrained one's budget: constrained and unconstrained, one pair a seed."""
    found: dict[float, list[tuple[Row, Row]]] = {}
    matched = [row for row in rows if row["kind"] == "matched"]
    for one in (row for row in matched if row["which"] == "constrained"):
        other = next(
            row
            for row in matched
            if row["which"] == "unconstrained"
            and (row["seed"], row["constrained"]) == (one["seed"], one["constrained"])
        )
        found.setdefault(one["constrained"], []).append((one, other))
    return found


def figure(rows: Sequence[Row], name: str, title: str) -> str:
    """Two lines of panels for each world.

    Distances by budget over their floors (Figures 3 and 7), then the front, what the attack reaches (Figure 6), and
    matched attacks (Figure 1).
    """
    found = worlds(rows)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(2 * len(found), 3, squeeze=False)
        for k, (world, own) in enumerate(found.items()):
            for axes, (measure, label) in zip(grid[2 * k], DISTANCES.items(), strict=True):
                _distances(axes, own, measure, label)
            front, reached, matched = grid[2 * k + 1]
            draw_front(front, own)
            draw_reached(reached, own)
            _matched(matched, own)
            for axes in (front, reached, matched):
                axes.legend(fontsize=8)
            if len(found) > 1:
                grid[2 * k][1].set_xlabel(world, weight="bold")

    caption = "distances without their bias; blue: the noise floor's 97.5%; lines: 95% over seeds"
    return svg(name, title, caption, 1150, 760 * len(found), draw)


def _distances(axes: Axes, rows: Sequence[Row], measure: str, label: str) -> None:
    named = plain(rows)
    for place, attack in enumerate(named):
        values = [value(row, measure) for row in of(rows, attack)]
        middle, low, high = student([v for v in values if np.isfinite(v)])
        axes.bar([place], [middle], 0.6, color=ATTACKER, alpha=0.85)
        if np.isfinite(low):
            axes.errorbar([place], [middle], [[middle - low], [high - middle]], color=MANY[0], lw=1.4)
        noise = [row[f"{measure}_floor_high"] - row[f"{measure}_floor"] for row in of(rows, attack)]
        axes.plot([place - 0.35, place + 0.35], [np.mean(noise)] * 2, color=BASELINE, lw=2.5)
    axes.set_xticks(range(len(named)), named)
    axes.set_ylabel(label)


def draw_front(axes: Axes, rows: Sequence[Row]) -> None:
    """Every attack's winning rate against the AUC of whole matches: each seed, and the mean."""
    for attack, colour in zip(attacks(rows), (*MANY[1:], *MANY), strict=False):
        found = of(rows, attack)
        x, y = [value(row, "auc_match") for row in found], [100 * wins(row) for row in found]
        axes.scatter(x, y, 14, [colour], alpha=0.4)
        axes.scatter([np.mean(x)], [np.mean(y)], 70, [colour], label=attack)
    axes.set_xlabel("AUC of whole matches")
    axes.set_ylabel("attacker's wins, %")


def draw_reached(axes: Axes, rows: Sequence[Row]) -> None:
    """The attacker's winning rate and the victim's rate of not failing, by budget, with Student's intervals."""
    named = plain(rows)
    budgets = [of(rows, attack)[0]["budget"] for attack in named]
    for label, colour, share in (("attacker wins", ATTACKER, wins), ("victim does not fail", BASELINE, not_failed)):
        points = [student([100 * share(row) for row in of(rows, attack)]) for attack in named]
        axes.plot(budgets, [middle for middle, _, _ in points], "o-", color=colour, label=label)
        for budget, (_, low, high) in zip(budgets, points, strict=True):
            if np.isfinite(low):
                axes.plot([budget, budget], [low, high], color=colour, lw=1.4)
    axes.set_xlabel("attack budget")
    axes.set_ylabel("matches, %")


def _matched(axes: Axes, rows: Sequence[Row]) -> None:
    for budget, found in pairs(rows).items():
        x = [value(one, "wasserstein2") for one, _ in found]
        y = [value(other, "wasserstein2") for _, other in found]
        axes.scatter(x, y, 30, label=f"matched, budget {budget:g}")
        unequal = [k for k, (one, _) in enumerate(found) if not one["equivalent"]]
        axes.scatter([x[k] for k in unequal], [y[k] for k in unequal], 14, marker="x", color=MANY[0])
    axes.scatter([], [], 14, marker="x", color=MANY[0], label="not equally often")
    largest = max([1e-9, *axes.get_xlim(), *axes.get_ylim()])
    axes.plot([0, largest], [0, largest], color=MANY[0], lw=0.8, ls=":")
    axes.set_xlabel("squared W2, constrained")
    axes.set_ylabel("squared W2, unconstrained")


def summary(rows: Sequence[Row]) -> str:
    """Tables, and the claims, of each world."""
    found = worlds(rows)
    parts = [[*([f"## {world}", ""] if len(found) > 1 else []), *_summary(own)] for world, own in found.items()]
    return "\n\n".join("\n".join(part) for part in parts)


def _summary(rows: Sequence[Row]) -> list[str]:
    benign = [row for row in rows if row["kind"] == "attack" and row["attack"] == attacks(rows)[0]]
    lines = ["| attack | attacker wins | " + " | ".join(TOLD) + " |", "|" + "---|" * (2 + len(TOLD))]
    share = mean([100 * row["benign_wins"] / row["benign_matches"] for row in benign], ".1f")
    floor = mean([float(row["auc_floor"]) for row in benign if row["auc_floor"] is not None])
    lines.append(f"| none, the benign opponent | {share}% |" + " |" * (len(TOLD) - 1) + f" {floor} |")
    for attack in attacks(rows):
        found = of(rows, attack)
        cells = [mean([value(row, name) for row in found]) for name in TOLD]
        lines.append(f"| {attack} | {mean([100 * wins(row) for row in found], '.1f')}% | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Means over seeds with Student's 95% intervals. Distances are without their mean noise floor: 0 is no shift.",
        "The AUC beside the benign opponent is that of one half of its matches against the other.",
    ]
    if pairs(rows):
        lines += ["", *_pairs(rows)]
    for part in (_rounds(rows), _fresh(rows), claims(rows)):
        lines += ["", *part] if part else []
    return lines


def _pairs(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| matched pair | equivalent | attacker wins | squared W2 | KL | AUC of matches |",
        "|---|---|---|---|---|---|",
    ]
    for budget, found in pairs(rows).items():
        equal = sum(bool(one["equivalent"]) for one, _ in found)
        for which, side in (("constrained", 0), ("unconstrained", 1)):
            own = [pair[side] for pair in found]
            cells = [mean([value(row, name) for row in own]) for name in ("wasserstein2", "kl", "auc_match")]
            share = mean([100 * wins(row) for row in own], ".1f")
            lines.append(
                f"| budget {budget:g}: {which} | {equal} of {len(found)} | {share}% | " + " | ".join(cells) + " |"
            )
    return lines


def _rounds(rows: Sequence[Row]) -> list[str]:
    """A hiding attacker before a detector that has not met it, and before one that has."""
    found = [row for row in rows if row["kind"] == "round"]
    if not found:
        return []
    lines = [
        "| the attacker adapts | detector | caught | in time | AUC of its alarms | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    words = {"before": "fitted on the plain attack", "adapted": "fitted on this one, too"}
    for attack in dict.fromkeys(row["attack"] for row in found):
        for detector, said in words.items():
            own = [row for row in found if (row["attack"], row["detector"]) == (attack, detector)]
            shares = [mean([100 * known(row[key]) for row in own], ".1f") for key in ("caught", "in_time")]
            alarms = mean([100 * row["false_alarms"] for row in own], ".2f")
            area = mean([row["auc"] for row in own])
            lines.append(f"| {attack} | {said} | {shares[0]}% | {shares[1]}% | {area} | {alarms}% |")
    return lines


def known(number_: Any) -> float:
    """NaN where a number is not known."""
    return float("nan") if number_ is None else float(number_)


def _fresh(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if row["kind"] == "fresh"]
    if not found:
        return []
    worst = max(found, key=lambda row: row["alarms"] / row["tried"])
    low, high = wilson(worst["alarms"], worst["tried"])
    each = " ".join(f"{row['alarms'] / row['tried']:.2%}" for row in found)
    most = f"{worst['alarms'] / worst['tried']:.2%} [{low:.2%}, {high:.2%}]"
    return [
        f"False alarms of {len(found)} detectors at the {worst['alpha']:.0%} setting, each on the same "
        f"{worst['tried']} fresh benign matches: {each}; the most {most}."
    ]


def claims(rows: Sequence[Row]) -> list[str]:
    """Each claim of the paper with an effect size, its interval over seeds and a verdict."""
    named = plain(rows)
    strongest = named[-1]
    told = ["| claim | effect | verdict |", "|---|---|---|"]
    for attack in named[:-1]:
        for name in ("wasserstein2", "kl", "hellinger", "auc_match"):
            told.append(
                claim(
                    f"{attack} moves the states less than {strongest} ({name})",
                    apart(rows, attack, strongest, lambda row, name=name: value(row, name)),
                )
            )
    for budget, found in pairs(rows).items():
        equal = sum(bool(one["equivalent"]) for one, _ in found)
        for name in ("wasserstein2", "kl", "auc_match"):
            text = (
                f"at equal winning rates ({equal} of {len(found)} pairs are) budget {budget:g} moves the states less "
                f"than the unconstrained attack ({name})"
            )
            told.append(
                claim(text, [value(other, name) - value(one, name) for one, other in found if one["equivalent"]])
            )
    return [
        *told,
        *(claim(f"{strongest} wins more often than {a}", apart(rows, a, strongest, wins)) for a in named[:-1]),
    ]


def apart(rows: Sequence[Row], attack: str, other: str, what: Any) -> list[float]:
    """By how much more `other` has than `attack`, of each seed."""
    return [what(two) - what(one) for one, two in zip(of(rows, attack), of(rows, other), strict=True)]


def claim(text: str, effects: Sequence[float]) -> str:
    """A line of the table of claims: it holds where the whole interval over seeds is above 0."""
    known = [x for x in effects if np.isfinite(x)]
    if not known:
        return f"| {text} | none | cannot tell: nothing to compare |"
    middle, low, high = student(known)
    if np.isnan(low):
        return f"| {text} | {mean(known)} | cannot tell: one seed |"
    verdict = "holds" if low > 0 else "the opposite holds" if high < 0 else "not shown"
    return f"| {text} | {number(settled(middle, 1.0), '.3g')} [{low:.3g}, {high:.3g}] | {verdict} |"
