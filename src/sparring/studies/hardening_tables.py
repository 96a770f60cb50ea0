"""What the rows of `sparring.studies.hardening` show: Figure 4, Table 4 and a verdict for each claim of the paper.

A claim is judged by the difference between two methods over training seeds, with Student's interval: what two methods
do with one seed is a pair, since all randomness is drawn from that seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sparring.metrics.intervals import student
from sparring.report import plots
from sparring.studies.hardening import BLOCK, NONE, POOLED, SHARE, TWO, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def by_method(
    rows: Sequence[Row], kind: str, key: str, train: float, test: float | None = None
) -> dict[str, dict[int, float]]:
    """`key` of every training seed, by method: {method: {seed: value}}."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        same = row["kind"] == kind and row["train_budget"] == train and (test is None or row["test_budget"] == test)
        if same and row[key] is not None:
            found.setdefault(row["method"], {})[row["seed"]] = float(row[key])
    return found


def steps_to_even(rows: Sequence[Row], train: float) -> dict[str, dict[int, float]]:
    """Steps until the score was even, of every training seed by method; all of the training's where it never was.

    Leaving out the trainings that never got there would count a method's failures in its favour.
    """
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["kind"] == "training" and row["train_budget"] == train:
            reached = row["steps"] if row["reached"] is None else row["reached"]
            found.setdefault(row["method"], {})[row["seed"]] = float(reached)
    return found


def _budgets(rows: Sequence[Row]) -> tuple[float, list[float], list[float]]:
    """The budget of Figure 4, the training budgets and those of the tests."""
    train = sorted({row["train_budget"] for row in rows if row["method"] != NONE})
    tests = sorted({row["test_budget"] for row in rows if row["kind"] == "strongest"})
    return (train or tests)[-1], train, tests


def figure(rows: Sequence[Row], name: str, game: str, measure: str = SHARE) -> str:
    """Figure 4: the score and the gradient's norm while training, and what fresh attackers make the victim lose."""
    budget, _, _ = _budgets(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colours = dict(zip(methods, plots.MANY, strict=False))
    lost = by_method(rows, "strongest", "lost", budget, budget)

    def draw(picture: Figure) -> None:
        grid = picture.add_gridspec(1, 3, wspace=0.35)
        frame = picture.add_subplot(grid[:])  # carries what belongs to all panels: title and legend
        frame.axis("off")
        left, middle, right = (picture.add_subplot(grid[place]) for place in range(3))
        for axes, key, title in ((left, "score", "victim's score"), (middle, "gradient_norm", "norm of its gradient")):
            for method in methods:
                points = _points(rows, method, budget, key)
                if points:
                    axes.plot(list(points), list(points.values()), color=colours[method], lw=1.2)
            axes.set_xlabel("steps of training")
            axes.set_title(title, fontsize=10)
        for place, method in enumerate(methods):
            values = list(lost.get(method, {}).values())
            mean, low, high = student(values)
            right.plot(values, [place] * len(values), ".", color=colours[method], alpha=0.4)
            if not np.isnan(low):
                right.plot([low, high], [place, place], color=colours[method], lw=2)
            right.plot([mean], [place], "o", color=colours[method])
            frame.plot([], [], color=colours[method], label=method)
        right.set_yticks([])
        if measure == SHARE:
            right.set_xlim(0, 1)
        right.set_xlabel(f"{measure},\nagainst the strongest fresh attacker")
        right.set_title("exploitability", fontsize=10)

    caption = f"{game}, budget {budget:g}; means over training seeds, intervals of 95%"
    return plots.svg(name, "Hardened victims (Figure 4)", caption, 1100, 460, draw)


def _points(rows: Sequence[Row], method: str, budget: float, key: str) -> dict[int, float]:
    """A curve, the mean over training seeds: {steps: value}."""
    found: dict[int, list[float]] = {}
    for row in rows:
        same = row["kind"] == "curve" and row["method"] == method and row["train_budget"] == budget
        if same and row[key] is not None:
            found.setdefault(row["steps"], []).append(row[key])
    return {steps: float(np.mean(found[steps])) for steps in sorted(found)}


def summary(rows: Sequence[Row], measure: str = SHARE) -> str:
    """Tables of Figure 4 and Table 4, and a verdict for each claim of the paper."""
    budget, train, tests = _budgets(rows)

    def shown(values: Mapping[int, float]) -> str:
        return _percent(values) if measure == SHARE else _number(values, ".2f")

    lines = [
        f"Budget {budget:g}. Means over training seeds with Student's 95% intervals; lost: {measure}, against",
        "the strongest of the fresh attackers, a lower bound of what can be lost.",
        "",
        "Steps to an even score: those of the whole training where it never was; then how many got there. Variance and",
        f"total variation: of the score's last half, in blocks of {BLOCK} matches. Gradient: its norm, noise included.",
        "",
        "| method | lost | lost to the benign opponent | steps to even score | variance | total variation | gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    lost = by_method(rows, "strongest", "lost", budget, budget)
    others = {key: by_method(rows, "training", key, budget) for key in ("reached", *OSCILLATION, "gradient_norm")}
    even = steps_to_even(rows, budget)
    clean = by_method(rows, "strongest", "clean_lost", budget, budget)
    for method, values in lost.items():
        told = [shown(values), shown(clean[method])]
        reached = others["reached"].get(method, {})
        told.append(f"{_number(even[method], '.3g')}, {len(reached)} of {len(values)}" if method in even else "")
        told += [_number(others[key].get(method, {}), ".3g") for key in (*OSCILLATION, "gradient_norm")]
        lines.append(f"| {method} | {' | '.join(told)} |")
    if len(tests) > 1:
        lines += ["", "| method, trained up to | " + " | ".join(f"tested at {t:g}" for t in tests) + " |"]
        lines.append("|---" * (len(tests) + 1) + "|")
        for one in train:
            for method in dict.fromkeys(row["method"] for row in rows if row["train_budget"] == one):
                each = [by_method(rows, "strongest", "lost", one, t).get(method, {}) for t in tests]
                if method != NONE and sum(map(bool, each)) > 1:
                    told = [shown(values) if values else "" for values in each]
                    lines.append(f"| {method}, {one:g} | {' | '.join(told)} |")
        none = [by_method(rows, "strongest", "lost", budget, t).get(NONE, {}) for t in tests]
        lines.append(f"| {NONE} | {' | '.join(shown(values) if values else '' for values in none)} |")
        if len(train) > 1:
            lines += ["", *_advice(rows, train, tests, measure)]
    judged = claims(rows)
    lines += [
        "",
        "| claim: two timescales ... | compared with | difference, and its interval | verdict |",
        "|---|---|---|---|",
        *(f"| {claim.text} | {claim.other} | {claim.shown} | {claim.verdict} |" for claim in judged),
        "",
        *overall(judged),
    ]
    return "\n".join(lines)


OSCILLATION = ("variance", "total_variation")


def _advice(rows: Sequence[Row], train: Sequence[float], tests: Sequence[float], measure: str) -> list[str]:
    """The training budget of least worst-case regret: what a victim loses beyond the best one, at its worst budget."""
    means = {
        one: [float(np.mean(list(by_method(rows, "strongest", "lost", one, t)[TWO].values()))) for t in tests]
        for one in train
    }
    least = np.min(list(means.values()), axis=0)
    regret = {one: float(np.max(np.array(values) - least)) for one, values in means.items()}
    best = min(regret, key=lambda one: regret[one])
    scale, unit = (100, " points") if measure == SHARE else (1, "")
    told = ", ".join(f"{one:g}: {scale * value:.1f}{unit}" for one, value in regret.items())
    return [f"Worst-case regret over the tested budgets, by training budget: {told}. Least: trained up to {best:g}."]


class Claim(NamedTuple):
    """A claim about two timescales against another method: the paired differences over seeds, and what they say."""

    text: str
    other: str
    shown: str
    verdict: str


HOLDS, OPPOSITE, SILENT, FEW = "holds", "does not hold: the opposite", "does not show", "cannot tell: too few seeds"


def claims(rows: Sequence[Row]) -> list[Claim]:
    """Each claim about two timescales as a hypothesis: the paired difference to every other method, over seeds."""
    budget, train, tests = _budgets(rows)
    asked = [
        ("converges faster (steps to an even score)", steps_to_even(rows, budget)),
        ("oscillates less (variance of the score)", by_method(rows, "training", "variance", budget)),
        (GRADIENT, by_method(rows, "training", "gradient_norm", budget)),
        (LEAST, by_method(rows, "strongest", "lost", budget, budget)),
    ]
    found = []
    for text, values in asked:
        for other in values:
            # With past opponents half of the steps are the present victim's: its gradient is noisier, and so longer.
            fair = not (text == GRADIENT and other in POOLED) and (other != NONE or text == LEAST)
            if other != TWO and TWO in values and fair:
                found.append(_claim(text, other, values[TWO], values[other]))
    for one in train if len(train) > 1 else ():
        for test in tests:
            if one != test:
                hardened = by_method(rows, "strongest", "lost", one, test).get(TWO, {})
                before = by_method(rows, "strongest", "lost", budget, test).get(NONE, {})
                found.append(_claim(f"{MISMATCHED}: trained up to {one:g}, tested at {test:g}", NONE, hardened, before))
    return found


LEAST = "is the least exploitable (lost)"
GRADIENT = "has the smaller gradient at the end"
MISMATCHED = "is still more robust where the budget is another (lost)"


def overall(judged: Sequence[Claim]) -> list[str]:
    """A verdict for each claim: against all other methods, some, or none."""
    lines = []
    for text in dict.fromkeys(claim.text.partition(":")[0] for claim in judged):
        verdicts = [claim.verdict for claim in judged if claim.text.partition(":")[0] == text]
        holds, opposite, few = (verdicts.count(kind) for kind in (HOLDS, OPPOSITE, FEW))
        if few == len(verdicts):
            told = "cannot be told from so few seeds"
        else:
            told = "holds" if holds == len(verdicts) else "holds in part" if holds else "does not hold"
            told += f" ({holds} of {len(verdicts)} comparisons; the opposite in {opposite}"
            told += f"; too few seeds in {few})" if few else ")"
        lines.append(f"- Two timescales: the claim that it {text} {told}.")
    return lines


def _claim(text: str, other: str, ours: Mapping[int, float], theirs: Mapping[int, float]) -> Claim:
    shared = sorted(ours.keys() & theirs.keys())
    mean, low, high = student([ours[seed] - theirs[seed] for seed in shared])
    verdict = FEW if np.isnan(low) else HOLDS if high < 0 else OPPOSITE if low > 0 else SILENT
    ends = "" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]"
    return Claim(text, other, f"{mean:.3g}{ends}, {len(shared)} seeds", verdict)


def _percent(values: Mapping[int, float]) -> str:
    mean, low, high = student([100 * value for value in values.values()], 0.0, 100.0)
    return f"{mean:.1f}%, one seed" if np.isnan(low) else f"{mean:.1f}% [{low:.1f}, {high:.1f}]"


def _number(values: Mapping[int, float], form: str) -> str:
    if not values:
        return "none"
    mean, low, high = student(list(values.values()))
    return f"{mean:{form}}, one seed" if np.isnan(low) else f"{mean:{form}} [{low:{form}}, {high:{form}}]"
