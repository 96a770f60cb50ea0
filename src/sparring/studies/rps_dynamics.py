"""Fig. 5: Rock-Paper-Scissors under the five methods of section C, and under three that are not in the paper.

The game is Example C.1 (budget 1); its least exploitability is 0. The paper prints neither start nor step size, so the
starts are drawn uniformly from the simplex, and both a constant step and one of eta / sqrt(t + 1) are shown. DECISIONS
8: the figure's claim is about the last iterate, so averages stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.exact import dynamics
from sparring.exact.dynamics import Iterate, Schedule, power
from sparring.exact.outputs import outputs
from sparring.exact.problem import MarkovProblem, Problem, exploitability
from sparring.games.matrix import ROCK_PAPER_SCISSORS, as_markov
from sparring.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
ANNEALING = power(1.0, 1 / 3)  # of the entropy in the regularised method
EXPONENTS = {"constant": 0.0, "1/sqrt(t+1)": 0.5}
WITH_STEPS: Mapping[str, Callable[[Problem, Iterate, Schedule], Iterator[Iterate]]] = {
    "SGDA": lambda problem, start, eta: dynamics.simultaneous(problem, start, eta, eta),
    "AGDA": lambda problem, start, eta: dynamics.alternating(problem, start, eta, eta),
    "GAMin": dynamics.min_oracle,
    "extragradient": lambda problem, start, eta: dynamics.extragradient(problem, start, eta, eta),
    "optimistic": lambda problem, start, eta: dynamics.optimistic(problem, start, eta, eta),
    "regularised": lambda problem, start, eta: dynamics.regularised(problem, start, eta, eta, ANNEALING),
}
WITHOUT_STEPS: Mapping[str, Callable[[Problem, Iterate], Iterator[Iterate]]] = {
    "SIBR": dynamics.simultaneous_best_response,
    "AIBR": dynamics.alternating_best_response,
}
# Solid: the paper's; dashed or dotted: beyond it, and what would lie under another line.
LINES: Mapping[str, Mapping[str, Any]] = {
    "SGDA": {"color": plots.ATTACKER, "lw": 1.8},
    "AGDA": {"color": "#e69f00", "lw": 1.8},
    "SIBR": {"color": "#009e73", "lw": 2.6},
    "AIBR": {"color": "#cc79a7", "lw": 1.8, "ls": ":"},
    "GAMin": {"color": plots.BASELINE, "lw": 2.6},
    "extragradient": {"color": "#56b4e9", "lw": 2.2, "ls": "--"},
    "optimistic": {"color": plots.INK, "lw": 1.4, "ls": "--"},
    "regularised": {"color": plots.INK, "lw": 1.4, "ls": "-."},
}
LOW = 0.01  # what the summary calls low, of payoffs between -1 and 1
FLOOR = 1e-5  # of the figure: extragradient steps go on to rounding error


@dataclass(frozen=True)
class Settings:
    updates: int
    starts: int
    points: int  # recorded updates, evenly on a logarithmic scale
    eta: float = 0.1


PRESETS = {
    "smoke": Settings(updates=50, starts=1, points=10),
    "standard": Settings(updates=1000, starts=3, points=25),
    "paper": Settings(updates=2000, starts=5, points=30),
}


@dataclass(frozen=True)
class Cell:
    method: str
    schedule: str  # "none": the method has no step size
    eta: float
    start: int
    nu: tuple[float, ...]
    alpha: tuple[float, ...]
    updates: int
    points: int


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Every method, step-size schedule and start; the starts are the same for all methods."""
    rng = np.random.default_rng(seed)
    starts = [rng.dirichlet(np.ones(3), 2).tolist() for _ in range(settings.starts)]
    variants = [(method, schedule) for method in WITH_STEPS for schedule in EXPONENTS]
    variants += [(method, "none") for method in WITHOUT_STEPS]
    return [
        Cell(method, schedule, settings.eta, number, tuple(nu), tuple(alpha), settings.updates, settings.points)
        for method, schedule in variants
        for number, (nu, alpha) in enumerate(starts)
    ]


def run(cell: Cell) -> list[dict[str, Any]]:
    """One run. `expl_worst` is the largest Expl of an iterate since the row before: last iterates may oscillate."""
    problem = MarkovProblem(as_markov(ROCK_PAPER_SCISSORS), np.full((1, 3), 1 / 3), 1.0)
    start = Iterate(np.array([cell.nu]), np.array([cell.alpha]))
    if cell.method in WITHOUT_STEPS:
        iterates = WITHOUT_STEPS[cell.method](problem, start)
    else:
        iterates = WITH_STEPS[cell.method](problem, start, power(cell.eta, EXPONENTS[cell.schedule]))
    recorded = set(np.rint(np.geomspace(1, cell.updates, cell.points)).astype(int).tolist())
    rows, worst = [], 0.0
    # The generator serves the sampled rule, which is not shown here.
    found = outputs(problem, islice(iterates, cell.updates + 1), np.random.default_rng(0))
    for update, output in enumerate(found):
        worst = max(worst, output.expl)
        if update in recorded:
            rows.append(
                {
                    "method": cell.method,
                    "schedule": cell.schedule,
                    "start": cell.start,
                    "update": update,
                    "expl_last": output.expl,
                    "expl_worst": worst,
                    "expl_mean": output.mean_expl,
                    "expl_averaged": exploitability(problem, output.averaged),
                }
            )
            worst = 0.0
    return rows


def figure(rows: Sequence[Row]) -> str:
    """Expl over updates, the median over starts: last iterates above, averages below, a column per schedule."""
    shown = {"expl_worst": "worst iterate", "expl_averaged": "average of iterates"}

    def draw(figure: Figure) -> None:
        grid = figure.add_gridspec(2, 2)
        frame = figure.add_subplot(grid[:, :])  # carries what belongs to all panels: title and legend
        frame.axis("off")
        for method, style in LINES.items():
            frame.plot([], [], label=method, **style)
        for row, (column, label) in enumerate(shown.items()):
            for place, schedule in enumerate(EXPONENTS):
                axes = figure.add_subplot(grid[row, place])
                for method, style in LINES.items():
                    curve = _curve(rows, method, schedule, column)
                    axes.plot(list(curve), [max(value, FLOOR) for value in curve.values()], **style)
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_ylim(FLOOR, 2)
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter("")
                axes.yaxis.set_major_formatter("{x:g}")
                axes.text(0.02, 0.03, f"{schedule} step", transform=axes.transAxes, weight="bold", va="bottom")
                axes.tick_params(labelleft=place == 0, labelbottom=row == 1)
                if place == 0:
                    axes.set_ylabel(f"Expl, {label}")
                if row == 1:
                    axes.set_xlabel("updates")

    starts = 1 + max(int(row["start"]) for row in rows)
    caption = f"median of {starts} starts; worst: since the point before; 0 is the least"
    return plots.svg("rps-dynamics", "Rock-Paper-Scissors", caption, 1000, 720, draw)


def summary(rows: Sequence[Row]) -> str:
    """What is left in the end, per method and schedule."""
    updates = max(int(row["update"]) for row in rows)
    table = [
        "Expl of the victim; the least is 0. Median over starts [least, most]. `last`: the worst iterate of updates",
        f"{updates // 2} to {updates}; `average`: the policy that averages the iterates; its Expl is not their mean.",
        "",
        "| method | step | last | average | mean of Expl |",
        "|---|---|---|---|---|",
    ]
    low: dict[str, list[str]] = {"last": [], "averaged": []}
    for method, schedule in dict.fromkeys((row["method"], row["schedule"]) for row in rows):
        own = [row for row in rows if (row["method"], row["schedule"]) == (method, schedule)]
        last = _per_start(row for row in own if int(row["update"]) > updates // 2)
        averaged = [float(row["expl_averaged"]) for row in own if int(row["update"]) == updates]
        mean = [float(row["expl_mean"]) for row in own if int(row["update"]) == updates]
        table.append(f"| {method} | {schedule} | {_range(last)} | {_range(averaged)} | {_range(mean)} |")
        name = method if schedule == "none" else f"{method} ({schedule})"
        for key, values in (("last", last), ("averaged", averaged)):
            if max(values) < LOW:
                low[key].append(name)
    return "\n".join(
        [
            *table,
            "",
            f"Last iterates below {LOW:g} from every start: {', '.join(low['last']) or 'none'}.",
            f"Averages below {LOW:g} from every start: {', '.join(low['averaged']) or 'none'}.",
        ]
    )


def _curve(rows: Sequence[Row], method: str, schedule: str, column: str) -> dict[int, float]:
    """The median over starts of a column, by update."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if row["method"] == method and row["schedule"] in (schedule, "none"):
            values.setdefault(int(row["update"]), []).append(float(row[column]))
    return {update: median(found) for update, found in sorted(values.items())}


def _per_start(rows: Iterator[Row]) -> list[float]:
    worst: dict[int, float] = {}
    for row in rows:
        start = int(row["start"])
        worst[start] = max(worst.get(start, 0.0), float(row["expl_worst"]))
    return list(worst.values())


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"
