"""Which hardening makes a disc robust: Figure 4 and Table 4 in `discs/duel`, for every method at equal steps.

Every victim starts as `builtin:disc-early`, which loses nearly every match to a trained attacker. A training at budget
B spreads the budgets of its matches evenly from 0 to B: at B alone the victim hardly ever wins, and learns next to
nothing (results/discs-defence). Then fresh attackers, which the victim never met, are trained from several starts at
every budget of the test; the strongest counts, on matches that it was not chosen by. `none` is the victim as it was.

A claim of the paper is judged by the difference between two methods over training seeds, with Student's interval: what
two methods do with one seed is a pair, since all randomness is drawn from that seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.metrics.intervals import student
from sparring.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
GAME, VICTIM, STRONG = "discs/duel", "builtin:disc-early", "builtin:disc"
NONE, TWO, SINGLE = "none", "two-timescale", "single-timescale"
METHODS = (
    NONE,
    TWO,
    SINGLE,
    "alternating",
    "min-oracle",
    "self-play",
    "fictitious-play",
    "retrain",
    "regularised",
)
UNTRAINED = "untrained"  # the strongest other policy at hand, as it is
POINTS = 40  # of each curve
REACHED = 0.0  # score: the victim wins as often as it loses against the attackers that it is trained with


@dataclass(frozen=True)
class Settings:
    seeds: int
    steps: int  # of a hardening, all matches together
    attack_steps: int
    matches: int
    methods: tuple[str, ...] = METHODS
    budget: float = 1.0  # Figure 4: train and test
    mismatch: tuple[float, ...] = (0.3, 0.7, 1.0)  # Table 4, with two timescales; empty: no such table
    starts: tuple[str, ...] = ("scratch", STRONG)
    learning_rate: float = 3e-4  # the victim's
    ratio: float = 3.0


PRESETS = {
    "smoke": Settings(1, 16_384, 8_192, 16, (NONE, TWO, SINGLE), mismatch=(), starts=(STRONG,)),
    "standard": Settings(3, 6_000_000, 1_000_000, 400, (*METHODS[:3], "min-oracle", "self-play", "fictitious-play")),
    "paper": Settings(10, 8_000_000, 2_000_000, 1000),
}


@dataclass(frozen=True)
class Cell:
    """One victim: how it is hardened, and the budgets at which it is attacked."""

    method: str
    budget: float
    seed: int
    number: int  # which training seed it is
    tests: tuple[float, ...]
    steps: int
    attack_steps: int
    matches: int
    starts: tuple[str, ...]
    learning_rate: float
    ratio: float


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Every method and seed at the budget of Figure 4, and the victims of Table 4."""
    found = []
    drawn = np.random.SeedSequence(seed).generate_state(settings.seeds).tolist()
    for number, one in enumerate(drawn):
        for method in settings.methods:
            table = method in (NONE, TWO) and settings.mismatch
            budgets = settings.mismatch if table and method == TWO else (settings.budget,)
            tests = settings.mismatch if table else (settings.budget,)
            for budget in budgets:
                found.append(
                    Cell(
                        method,
                        budget,
                        one,
                        number,
                        tuple(sorted({*tests})),
                        settings.steps,
                        settings.attack_steps,
                        settings.matches,
                        settings.starts,
                        settings.learning_rate,
                        settings.ratio,
                    )
                )
    return found


def run(cell: Cell) -> list[dict[str, Any]]:
    """Harden one victim and attack it: a row for the training, for each point of its curve and for each attacker."""
    from sparring.commands.defend import defend

    own = {"method": cell.method, "train_budget": cell.budget, "seed": cell.number}
    with tempfile.TemporaryDirectory() as folder:
        victim, rows = VICTIM, []
        if cell.method != NONE:
            ratio = {"ratio": cell.ratio} if cell.method == TWO else {}
            rate = {} if cell.method == "retrain" else {"learning_rate": cell.learning_rate}
            result = defend(
                GAME,
                victim=VICTIM,
                method=cell.method,
                budget=cell.budget,
                budget_range=(0.0, cell.budget),
                steps=cell.steps,
                attack_steps=0 if cell.method != "retrain" else cell.attack_steps,
                episodes=16,
                seed=cell.seed,
                out=str(Path(folder) / "defend"),
                **ratio,
                **rate,
            )
            victim = f"native:{result['policy']}"
            rows += [{**own, **row} for row in _training_rows(result)]
        for test in cell.tests:
            rows += [{**own, **row} for row in _attack_rows(cell, victim, test, Path(folder))]
    return rows


def _training_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    points = [p for p in result["curve"] if p["score"] is not None]
    score = np.array([p["score"] for p in points])
    # A running mean over a twentieth of the training: one round ends few matches.
    width = max(len(score) // 20, 1)
    smooth = np.convolve(score, np.ones(width) / width, "valid")
    reached = np.flatnonzero(smooth >= REACHED)
    last = [p["gradient_norm"] for p in points[len(points) // 2 :] if p["gradient_norm"] is not None]
    rows: list[dict[str, Any]] = [
        {
            "kind": "training",
            "steps": result["steps"],
            "variance": result["oscillation"]["variance"],
            "total_variation": result["oscillation"]["total_variation"],
            "gradient_norm": float(np.mean(last)) if last else None,
            "reached": int(points[reached[0] + width - 1]["steps"]) if len(reached) else None,
        }
    ]
    for chunk in np.array_split(np.array(points, object), min(POINTS, len(points))):
        norms = [p["gradient_norm"] for p in chunk if p["gradient_norm"] is not None]
        rows.append(
            {
                "kind": "curve",
                "steps": int(chunk[-1]["steps"]),
                "score": float(np.mean([p["score"] for p in chunk])),
                "gradient_norm": float(np.mean(norms)) if norms else None,
            }
        )
    return rows


def _attack_rows(cell: Cell, victim: str, test: float, folder: Path) -> list[dict[str, Any]]:
    """Attackers of one victim at one budget, and the strongest of them on matches of its own; then clean play."""
    from sparring.commands.attack import attack
    from sparring.commands.evaluate import evaluate

    def lost(attacker: str, budget: float, stream: int) -> Mapping[str, Any]:
        seed = int(np.random.SeedSequence([cell.seed, stream]).generate_state(1)[0])
        return evaluate(
            GAME,
            victim=victim,
            attacker=attacker,
            benign=VICTIM,
            budget=budget,
            episodes=cell.matches,
            seed=seed,
            out=str(folder / f"evaluate-{test!r}-{stream}"),
        )

    attackers = {UNTRAINED: STRONG}
    for number, start in enumerate(cell.starts):
        out = folder / f"attack-{test!r}-{number}"
        attack(
            GAME,
            victim=victim,
            benign=VICTIM,
            budget=test,
            start=start,
            steps=cell.attack_steps,
            episodes=16,
            seed=cell.seed + number + 1,
            out=str(out),
        )
        attackers[start] = f"run:{out}"
    rows, found = [], {}
    for stream, (start, attacker) in enumerate(attackers.items()):
        found[start] = lost(attacker, test, stream)["fail"]
        rows.append({"kind": "attack", "test_budget": test, "start": start, "lost": found[start]})
    best = max(found, key=lambda start: found[start])
    strongest, clean = lost(attackers[best], test, 100), lost(VICTIM, 0.0, 101)
    rows.append(
        {
            "kind": "strongest",
            "test_budget": test,
            "start": best,
            "lost": strongest["fail"],
            "clean_lost": clean["fail"],
            "matches": cell.matches,
        }
    )
    return rows


# ---------------------------------------------------------------------------------------------------------------------
# What the rows show.


def _by_method(rows: Sequence[Row], kind: str, key: str, train: float, test: float | None = None) -> dict[str, Any]:
    """`key` of every training seed, by method: {method: {seed: value}}."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        same = row["kind"] == kind and row["train_budget"] == train and (test is None or row["test_budget"] == test)
        if same and row[key] is not None:
            found.setdefault(row["method"], {})[row["seed"]] = float(row[key])
    return found


def _budgets(rows: Sequence[Row]) -> tuple[float, list[float], list[float]]:
    """The budget of Figure 4, the training budgets and those of the tests."""
    train = sorted({row["train_budget"] for row in rows if row["method"] != NONE})
    tests = sorted({row["test_budget"] for row in rows if row["kind"] == "strongest"})
    return (train or tests)[-1], train, tests


def figure(rows: Sequence[Row]) -> str:
    """Figure 4: the score and the gradient's norm while training, and what fresh attackers make the victim lose."""
    budget, _, _ = _budgets(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colours = dict(zip(methods, plots.MANY, strict=False))
    lost = _by_method(rows, "strongest", "lost", budget, budget)

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
        right.set_xlim(0, 1)
        right.set_xlabel("share lost to the strongest fresh attacker")
        right.set_title("exploitability", fontsize=10)

    caption = f"discs/duel, budget {budget:g}; means over training seeds, intervals of 95%"
    return plots.svg("discs-defence", "Hardening a disc (Figure 4)", caption, 1100, 460, draw)


def _points(rows: Sequence[Row], method: str, budget: float, key: str) -> dict[int, float]:
    """A curve, the mean over training seeds: {steps: value}."""
    found: dict[int, list[float]] = {}
    for row in rows:
        same = row["kind"] == "curve" and row["method"] == method and row["train_budget"] == budget
        if same and row[key] is not None:
            found.setdefault(row["steps"], []).append(row[key])
    return {steps: float(np.mean(found[steps])) for steps in sorted(found)}


def summary(rows: Sequence[Row]) -> str:
    """Tables of Figure 4 and Table 4, and a verdict for each claim of the paper."""
    budget, train, tests = _budgets(rows)
    lines = [
        f"Budget {budget:g}. Means over training seeds with Student's 95% intervals; lost: share of matches lost to",
        "the strongest of the fresh attackers, a lower bound of what can be lost.",
        "",
        "| method | lost | lost to the benign opponent | steps to even score | variance | total variation | gradient |",
        "|---|---|---|---|---|---|---|",
    ]
    lost = _by_method(rows, "strongest", "lost", budget, budget)
    others = {key: _by_method(rows, "training", key, budget) for key in ("reached", *OSCILLATION, "gradient_norm")}
    clean = _by_method(rows, "strongest", "clean_lost", budget, budget)
    for method, values in lost.items():
        shown = [_percent(values), _percent(clean[method])]
        reached = others["reached"].get(method, {})
        shown.append(f"{_number(reached, '.3g')}, {len(reached)} of {len(values)}" if method != NONE else "")
        shown += [_number(others[key].get(method, {}), ".3g") for key in (*OSCILLATION, "gradient_norm")]
        lines.append(f"| {method} | {' | '.join(shown)} |")
    if len(train) > 1:
        lines += ["", "| trained up to | " + " | ".join(f"tested at {t:g}" for t in tests) + " |"]
        lines.append("|---" * (len(tests) + 1) + "|")
        for one in train:
            cells_ = [_percent(_by_method(rows, "strongest", "lost", one, t).get(TWO, {})) for t in tests]
            lines.append(f"| {one:g} | {' | '.join(cells_)} |")
        none = [_percent(_by_method(rows, "strongest", "lost", budget, t).get(NONE, {})) for t in tests]
        lines.append(f"| not hardened | {' | '.join(none)} |")
    lines += ["", *claims(rows)]
    return "\n".join(lines)


OSCILLATION = ("variance", "total_variation")


def claims(rows: Sequence[Row]) -> list[str]:
    """Each claim about two timescales as a hypothesis: the paired difference to every other method, over seeds."""
    budget, train, tests = _budgets(rows)
    asked = [
        ("converges faster (steps to an even score)", _by_method(rows, "training", "reached", budget)),
        ("oscillates less (variance of the score)", _by_method(rows, "training", "variance", budget)),
        ("has the smaller gradient at the end", _by_method(rows, "training", "gradient_norm", budget)),
        ("is the least exploitable (share lost)", _by_method(rows, "strongest", "lost", budget, budget)),
    ]
    lines = [
        "| claim: two timescales ... | compared with | difference, and its interval | verdict |",
        "|---|---|---|---|",
    ]
    for claim, found in asked:
        for method in found:
            if method == TWO or TWO not in found:
                continue
            shared = sorted(found[TWO].keys() & found[method].keys())
            lines.append(_claim(claim, method, [found[TWO][s] - found[method][s] for s in shared]))
    if len(train) > 1:
        for one in train:
            for test in tests:
                if one != test:
                    hardened = _by_method(rows, "strongest", "lost", one, test).get(TWO, {})
                    before = _by_method(rows, "strongest", "lost", budget, test).get(NONE, {})
                    shared = sorted(hardened.keys() & before.keys())
                    claim = f"trained up to {one:g} is still more robust at {test:g} (share lost)"
                    lines.append(_claim(claim, NONE, [hardened[s] - before[s] for s in shared]))
    return lines


def _claim(claim: str, method: str, differences: Sequence[float]) -> str:
    mean, low, high = student(differences)
    if np.isnan(low):
        verdict = "cannot tell: too few seeds"
    else:
        verdict = "holds" if high < 0 else "does not hold: the opposite" if low > 0 else "does not show"
    return f"| {claim} | {method} | {mean:.3g} [{low:.3g}, {high:.3g}], {len(differences)} seeds | {verdict} |"


def _percent(values: Mapping[int, float]) -> str:
    mean, low, high = student([100 * value for value in values.values()])
    return f"{mean:.1f}% [{low:.1f}, {high:.1f}]"


def _number(values: Mapping[int, float], form: str) -> str:
    if not values:
        return "none"
    mean, low, high = student(list(values.values()))
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"
