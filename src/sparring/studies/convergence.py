"""Theorem 5.3 as measured: updates until the mean of Expl over the iterates is within delta of its least value.

Algorithm 1 with eta = delta / G^2, where G is the length of the victim's first gradient within the simplex, so that
games of different scales compare. Algorithm 2 with the same eta_nu, and eta_alpha = ratio eta_nu, where the ratio is
fixed or grows as delta^-2: its own step sizes, delta^8 and delta^4, cannot be run (DECISIONS 11). The games are
Rock-Paper-Scissors, Kuhn poker (counterfactual gradients, which the theorem does not cover: DECISIONS 9) and random
Markov games, all rescaled so that values lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.exact.dynamics import Iterate, min_oracle, power, simultaneous
from sparring.exact.markov_game import MarkovGame, random_game
from sparring.exact.problem import MarkovProblem, Problem, exploitability, legal
from sparring.exact.robust import robust
from sparring.exact.tree import tree_problem
from sparring.exact.tree_game import TERMINAL
from sparring.games.openspiel import compile_tree
from sparring.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
MARKOV = "markov"
GAMES = {"matrix_rps": "Rock-Paper-Scissors", "kuhn_poker": "Kuhn poker, seat 0", MARKOV: "random Markov games"}
MIN_ORACLE, GROWING = "Algorithm 1", "Algorithm 2, growing ratio"
GAMMA = 0.8
# Two of three points of a straight line say nothing about how straight it is.
LEAST_POINTS = 3


@dataclass(frozen=True)
class Settings:
    instances: int  # Markov games; and starts in the other two
    fractions: tuple[float, ...]  # delta, in units of the start's distance from the least Expl
    ratios: tuple[float, ...] = (1.0, 10.0, 100.0)  # eta_alpha / eta_nu of Algorithm 2
    growing: float = 40.0  # and, in further runs, this over fraction^2
    budget: float = 1.0
    updates: int = 4000  # after which a run is given up


PRESETS = {
    "smoke": Settings(instances=1, fractions=(0.5, 0.25, 0.2), ratios=(10.0,), updates=100),
    "standard": Settings(instances=3, fractions=(0.5, 0.25, 0.1), updates=1000),
    "paper": Settings(instances=4, fractions=(0.5, 0.25, 0.1, 0.05)),
}


@dataclass(frozen=True)
class Cell:
    game: str
    instance: int
    seed: int  # of the start, and of the game where it is random
    method: str
    ratio: float | None  # of Algorithm 2
    fraction: float
    budget: float
    updates: int


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Every game, instance, method and delta; an instance has the same start (and game) everywhere."""
    found = []
    for game, sequence in zip(GAMES, np.random.SeedSequence(seed).spawn(len(GAMES)), strict=True):
        for instance, drawn in enumerate(sequence.generate_state(settings.instances).tolist()):
            for fraction in settings.fractions:
                ratios: dict[str, float | None] = {MIN_ORACLE: None}
                ratios |= {f"Algorithm 2, ratio {ratio:g}": ratio for ratio in settings.ratios}
                ratios[GROWING] = settings.growing / fraction**2
                for method, ratio in ratios.items():
                    budget, updates = settings.budget, settings.updates
                    found.append(Cell(game, instance, drawn, method, ratio, fraction, budget, updates))
    return found


def run(cell: Cell) -> list[dict[str, Any]]:
    """One run, one row; `updates` is None if it was given up."""
    problem, start = _instance(cell)
    least = -robust(problem).lower
    distance = exploitability(problem, start.nu) - least
    delta = cell.fraction * distance
    eta = delta / _squared_length(problem, start.nu)
    total, needed = 0.0, None
    for iterate in _iterates(problem, start, eta, cell.ratio):
        total += exploitability(problem, iterate.nu) - least
        if total / (iterate.t + 1) < delta:
            needed = iterate.t
            break
        if iterate.t == cell.updates:
            break
    return [
        {
            "game": cell.game,
            "instance": cell.instance,
            "method": cell.method,
            "ratio": cell.ratio,
            "budget": cell.budget,
            "fraction": cell.fraction,
            "delta": delta,
            "eta_nu": eta,
            "least_expl": least,
            "start_gap": distance,
            "updates": needed,
            "given_up_at": cell.updates if needed is None else None,
            "mean_gap": total / (iterate.t + 1),
        }
    ]


def figure(rows: Sequence[Row]) -> str:
    """Updates against 1 / delta, a panel per game and a line per method: the median over instances and their range."""
    colours = (plots.BASELINE, "#e69f00", plots.ATTACKER, "#cc79a7", "#009e73")

    def draw(figure: Figure) -> None:
        games, methods = _distinct(rows, "game"), _distinct(rows, "method")
        inverse = sorted(1 / fraction for fraction in _fractions(rows))
        grid = figure.add_gridspec(1, len(games))
        frame = figure.add_subplot(grid[:])  # carries what belongs to all panels: title and legend
        frame.axis("off")
        first = None
        for place, game in enumerate(games):
            axes = figure.add_subplot(grid[place], sharey=first)
            for method, colour, marker in zip(methods, colours, "os^vD", strict=False):
                reached = _reached(rows, game, method)
                x = [1 / fraction for fraction in reached]
                style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5}
                axes.plot(x, [median(values) for values in reached.values()], **style)
                low, high = ([limit(values) for values in reached.values()] for limit in (min, max))
                axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
                if first is None:
                    frame.plot([], [], label=method, **style)
            axes.plot(inverse, [x**2 for x in inverse], color=plots.INK, lw=1, ls=":")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(inverse, [f"{x:g}" for x in inverse])
            axes.set_xticks([], minor=True)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
            axes.set_xlabel("start's gap / delta")
            axes.text(0.03, 0.97, GAMES[game], transform=axes.transAxes, weight="bold", va="top")
            if first is None:
                axes.set_ylabel("updates until mean gap < delta")
            else:
                axes.tick_params(labelleft=False)
            first = first or axes
        frame.plot([], [], color=plots.INK, lw=1, ls=":", label="slope 2")

    caption = "median and range over the instances; no point where one of them did not get there"
    return plots.svg("convergence", "Updates against accuracy (Theorem 5.3)", caption, 1100, 460, draw)


def summary(rows: Sequence[Row]) -> str:
    """Slopes of log updates in log 1/delta, and how many runs got there."""
    smallest = min(_fractions(rows))
    lines = [
        "Updates until the mean gap of Expl is below delta. Slope: d log(updates) / d log(1 / delta), by least squares",
        f"per instance over the deltas that it reached after its start, if there are {LEAST_POINTS}; median over",
        f"instances [least, most]. Updates: at the smallest delta, {smallest:g} of the start's gap.",
        "",
        "| game | method | reached | slope | updates at the smallest delta |",
        "|---|---|---|---|---|",
    ]
    for game in _distinct(rows, "game"):
        for method in _distinct(rows, "method"):
            own = _of(rows, game, method)
            reached = sum(_updates(row) is not None for row in own)
            slopes = [slope for instance in _distinct(own, "instance") if (slope := _slope(own, instance)) is not None]
            last = [n for row in own if float(row["fraction"]) == smallest and (n := _updates(row)) is not None]
            found = (f"{reached} of {len(own)}", _range(slopes, ".2f"), _range(last, ".0f"))
            lines.append(f"| {GAMES[game]} | {method} | {' | '.join(found)} |")
    return "\n".join(lines)


def _iterates(problem: Problem, start: Iterate, eta: float, ratio: float | None) -> Iterator[Iterate]:
    if ratio is None:
        return min_oracle(problem, start, power(eta))
    return simultaneous(problem, start, power(eta), power(ratio * eta))


def _squared_length(problem: Problem, nu: np.ndarray) -> float:
    """|grad_nu J|^2 against the best response, without the part that leaves the simplex."""
    actions = problem.victim_actions
    gradient = problem.gradient(nu, problem.best_response(nu).policy)[0] * legal(actions)
    inside = legal(actions) * (gradient - gradient.sum(axis=1, keepdims=True) / actions[:, None])
    return float((inside**2).sum())


def _instance(cell: Cell) -> tuple[Problem, Iterate]:
    """The problem, its values in [0, 1], and a start in the interior."""
    if cell.game == MARKOV:
        drawn = random_game(cell.seed, S=4, A=3, B=3, gamma=GAMMA, k=2)
        game = MarkovGame(drawn.game.P, (1 - GAMMA) * drawn.game.r, drawn.game.rho, GAMMA)
        return MarkovProblem(game, drawn.benign, cell.budget), Iterate(drawn.nu, drawn.alpha)
    tree = compile_tree(cell.game)
    low, high = tree.returns.min(), tree.returns.max()
    ended = (tree.actor == TERMINAL)[:, None]
    tree = replace(tree, returns=np.where(ended, (tree.returns - low) / (high - low), 0.0))
    problem = tree_problem(tree, 0, (1,), {}, cell.budget)
    rng = np.random.default_rng(cell.seed)
    return problem, Iterate(_drawn(problem.victim_actions, rng), _drawn(problem.attacker_actions, rng))


def _drawn(actions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A policy [S, A], uniform on the simplex row by row."""
    weight = legal(actions) * rng.exponential(size=(len(actions), actions.max()))
    return weight / weight.sum(axis=1, keepdims=True)


def _of(rows: Sequence[Row], game: str, method: str) -> list[Row]:
    return [row for row in rows if row["game"] == game and row["method"] == method]


def _updates(row: Row) -> int | None:
    return None if row["updates"] in (None, "") else int(row["updates"])


def _distinct(rows: Sequence[Row], column: str) -> list[Any]:
    return list(dict.fromkeys(row[column] for row in rows))


def _fractions(rows: Sequence[Row]) -> list[float]:
    return sorted({float(row["fraction"]) for row in rows}, reverse=True)


def _reached(rows: Sequence[Row], game: str, method: str) -> dict[float, list[int]]:
    """Updates of the instances, by fraction, where all of them got there."""
    found: dict[float, list[int]] = {}
    for fraction in _fractions(rows):
        values = [_updates(row) for row in _of(rows, game, method) if float(row["fraction"]) == fraction]
        if None not in values:
            found[fraction] = [value for value in values if value is not None]
    return found


def _slope(rows: Sequence[Row], instance: int) -> float | None:
    own = [(float(row["delta"]), _updates(row)) for row in rows if row["instance"] == instance]
    points = [(np.log(1 / delta), np.log(updates)) for delta, updates in own if updates]
    if len(points) < LEAST_POINTS:
        return None
    x, y = np.transpose(points)
    return float(np.polyfit(x, y, 1)[0])


def _range(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    return f"{median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"
