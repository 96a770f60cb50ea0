"""What the rows of a study of stealth show: a figure, tables, and a verdict for each of the paper's claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparring.console import number, settled
from sparring.metrics.intervals import student
from sparring.report.plots import ATTACKER, BASELINE, MANY, svg
from sparring.studies.stealth import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISTANCES = {"wasserstein2": "squared Wasserstein-2", "kl": "KL", "hellinger": "squared Hellinger"}
TOLD = ("wasserstein2", "kl", "hellinger", "total-variation", "auc_state", "auc_match")


def attacks(rows: Sequence[Row]) -> list[str]:
    """The attacks, in the order of the study."""
    return list(dict.fromkeys(row["attack"] for row in rows if row["kind"] == "attack"))


def of(rows: Sequence[Row], attack: str) -> list[Row]:
    return [row for row in rows if row["kind"] == "attack" and row["attack"] == attack]


def wins(row: Row) -> float:
    return row["wins"] / row["matches"]


def value(row: Row, name: str) -> float:
    """A number of a row; a distance without the mean of its noise floor."""
    found = row.get(f"{name}_corrected", row.get(name)) if name not in ("auc_state", "auc_match") else row[name]
    return float("nan") if found is None else float(found)


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
    """Distances by budget over their floors (Figures 3 and 7), matched attacks (Figure 1), and the front."""
    named = attacks(rows)
    plain = [attack for attack in named if attack.startswith("budget")]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(2, 3)
        for axes, (measure, label) in zip(grid[0], DISTANCES.items(), strict=True):
            for place, attack in enumerate(plain):
                values = [value(row, measure) for row in of(rows, attack)]
                middle, low, high = student([v for v in values if np.isfinite(v)])
                axes.bar([place], [middle], 0.6, color=ATTACKER, alpha=0.85)
                if np.isfinite(low):
                    axes.errorbar([place], [middle], [[middle - low], [high - middle]], color=MANY[0], lw=1.4)
                noise = [row[f"{measure}_floor_high"] - row[f"{measure}_floor"] for row in of(rows, attack)]
                axes.plot([place - 0.35, place + 0.35], [np.mean(noise)] * 2, color=BASELINE, lw=2.5)
            axes.set_xticks(range(len(plain)), plain)
            axes.set_ylabel(f"{label}, without its bias")
        front, shares, matched = grid[1]
        for attack, colour in zip(named, (*MANY[1:], *MANY), strict=False):
            found = of(rows, attack)
            front.scatter(
                [row["auc_match"] for row in found], [100 * wins(row) for row in found], 14, [colour], alpha=0.4
            )
            front.scatter(
                [np.mean([row["auc_match"] for row in found])],
                [100 * np.mean([wins(row) for row in found])],
                70,
                [colour],
                label=attack,
            )
        front.set_xlabel("AUC of whole matches")
        front.set_ylabel("attacker's wins, %")
        for label, colour, share in (
            ("attacker wins", ATTACKER, wins),
            ("victim does not fail", BASELINE, lambda row: 1 - row["fails"] / row["matches"]),
        ):
            points = [np.mean([100 * share(row) for row in of(rows, attack)]) for attack in plain]
            shares.plot([of(rows, attack)[0]["budget"] for attack in plain], points, "o-", color=colour, label=label)
        shares.set_xlabel("attack budget")
        shares.set_ylabel("matches, %")
        for budget, found in pairs(rows).items():
            x = [value(one, "wasserstein2") for one, _ in found]
            y = [value(other, "wasserstein2") for _, other in found]
            matched.scatter(x, y, 30, label=f"matched, budget {budget:g}")
        largest = max([1e-9, *matched.get_xlim(), *matched.get_ylim()])
        matched.plot([0, largest], [0, largest], color=MANY[0], lw=0.8, ls=":")
        matched.set_xlabel("squared W2, constrained")
        matched.set_ylabel("squared W2, unconstrained")
        for axes in (front, shares, matched):
            axes.legend(fontsize=8)

    return svg(name, title, "blue lines: the noise floor's 97.5%; bars: 95% over seeds", 1150, 760, draw)


def summary(rows: Sequence[Row]) -> str:
    """Tables, and the claims."""
    lines = ["| attack | attacker wins | " + " | ".join(TOLD) + " |", "|" + "---|" * (2 + len(TOLD))]
    for attack in attacks(rows):
        found = of(rows, attack)
        cells = [mean([value(row, name) for row in found]) for name in TOLD]
        lines.append(f"| {attack} | {mean([100 * wins(row) for row in found], '.1f')}% | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Means over seeds with Student's 95% intervals. Distances are without their mean noise floor: 0 is no shift.",
        "",
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
    return "\n".join([*lines, "", *claims(rows)])


def claims(rows: Sequence[Row]) -> list[str]:
    """Each claim of the paper with an effect size, its interval over seeds and a verdict."""
    plain = [attack for attack in attacks(rows) if attack.startswith("budget")]
    strongest = plain[-1]
    told = ["| claim | effect | verdict |", "|---|---|---|"]
    for attack in plain[:-1]:
        for name in ("wasserstein2", "kl", "hellinger", "auc_match"):
            apart = [
                value(other, name) - value(one, name)
                for one, other in zip(of(rows, attack), of(rows, strongest), strict=True)
            ]
            told.append(_claim(f"{attack} moves the states less than {strongest} ({name})", apart))
    for budget, found in pairs(rows).items():
        for name in ("wasserstein2", "kl", "auc_match"):
            apart = [value(other, name) - value(one, name) for one, other in found]
            text = (
                f"at equal winning rates budget {budget:g} moves the states less than the unconstrained attack ({name})"
            )
            told.append(_claim(text, apart))
    for attack in plain[:-1]:
        apart = [wins(other) - wins(one) for one, other in zip(of(rows, attack), of(rows, strongest), strict=True)]
        told.append(_claim(f"{strongest} wins more often than {attack}", apart))
    return told


def _claim(text: str, apart: Sequence[float]) -> str:
    known = [x for x in apart if np.isfinite(x)]
    middle, low, high = student(known)
    if not known or np.isnan(low):
        return f"| {text} | {mean(apart)} | cannot tell: one seed |"
    verdict = "holds" if low > 0 else "the opposite holds" if high < 0 else "not shown"
    return f"| {text} | {number(settled(middle, 1.0), '.3g')} [{low:.3g}, {high:.3g}] | {verdict} |"
