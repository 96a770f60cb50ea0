"""How far from the most robust victim each method ends, in games whose optimum is certified.

Victims learn by A2C from sampled matches, every method for the same number of steps; what their tables lose to a best
response, and the least that any victim loses, are exact. The gap is the difference. The attacker's agent is benign
(uniform) where it is not controlled. The victim's rate is the same in all methods; `min-oracle` gives it the exact best
response (Algorithm 1), `retrain` the best response to a uniform victim, for ever. All methods have A2C's entropy bonus;
`regularised` has a magnet in its place. DECISIONS 9 and 10 say what to expect of two timescales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sparring.defences.adversarial_training import SCHEDULES, Schedule, adversarial_training
from sparring.defences.adversarial_training import VICTIM as VICTIM_SIDE
from sparring.exact.markov_game import MarkovGame, random_game
from sparring.exact.problem import Problem, exploitability, uniform
from sparring.exact.robust import robust
from sparring.games import make
from sparring.games.finite import FiniteGame, infosets, problem
from sparring.games.markov import SampledMarkovGame
from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.replicas import replicated
from sparring.learners.tables import exact_oracle, tabulate
from sparring.metrics.intervals import student
from sparring.oracles.hardening import longest_match
from sparring.policies import TabularPolicy
from sparring.report import plots
from sparring.training import train
from sparring.types import Policy, ThreatModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
MARKOV = "random Markov game"
GAMES = ("kuhn_poker", "leduc_poker", f"{MARKOV} 1", f"{MARKOV} 2", f"{MARKOV} 3")
GAMMA = 0.8
NONE, ORACLE, TWO, SINGLE, REGULARISED = "none", "min-oracle", "two-timescale", "single-timescale", "regularised"
METHODS = (NONE, ORACLE, TWO, SINGLE, "alternating", "self-play", "fictitious-play", "retrain", REGULARISED)
ORDER = (ORACLE, TWO, SINGLE)  # from the least gap to the largest, as Theorems 5.2 and 5.3 lead one to expect
RATIO = 10.0  # two-timescale: the attacker's rate over the victim's
SNAPSHOTS = 15  # of each side, in methods with a pool
LATE = 0.1  # the final gap is the mean over the last tenth of the points
# The victim's rate, the critics' and the entropy bonus (the magnet's weight) by game: the same for every method. A
# critic descends a sum over a match's steps, so that long matches need a low rate.
RATES = {"kuhn_poker": (0.02, 0.1, 0.1), "leduc_poker": (0.02, 0.01, 1.0), MARKOV: (0.02, 0.01, 0.01)}


@dataclass(frozen=True)
class Settings:
    updates: int
    seeds: int
    points: int = 40
    matches: int = 32  # of each seed in every update
    games: tuple[str, ...] = GAMES
    methods: tuple[str, ...] = METHODS
    budgets: tuple[float, ...] = (1.0,)


PRESETS = {
    "smoke": Settings(40, 2, 4, 8, (GAMES[0], GAMES[2]), (NONE, ORACLE, TWO, SINGLE)),
    "standard": Settings(1500, 3, games=GAMES[:1] + GAMES[2:]),
    "paper": Settings(1500, 10),
}


@dataclass(frozen=True)
class Cell:
    game: str
    budget: float
    method: str
    seed: int
    seeds: int
    updates: int
    points: int
    matches: int


def cells(settings: Settings, seed: int) -> list[Cell]:
    """Every game, budget and method; a cell trains its seeds side by side."""
    return [
        Cell(game, budget, method, seed, settings.seeds, settings.updates, settings.points, settings.matches)
        for game in settings.games
        for budget in settings.budgets
        for method in settings.methods
    ]


def run(cell: Cell) -> list[dict[str, Any]]:
    """The trainings of a cell: the gap of each victim as it is after so many steps (the last iterate), exact."""
    game = _game(cell.game, cell.seed, cell.seeds * cell.matches)
    victim, attacker = game.agents[:2]
    exact = problem(game, victim, [attacker], {}, cell.budget)
    scale = 1.0 - GAMMA if cell.game.startswith(MARKOV) else 1.0
    least = -robust(exact).lower
    own = {"game": cell.game, "budget": cell.budget, "method": cell.method}

    def row(seed: int, steps: int, nu: np.ndarray) -> dict[str, Any]:
        gap = scale * (exploitability(exact, nu) - least)
        return {**own, "seed": seed, "steps": steps, "gap": gap, "least_expl": scale * least}

    if cell.method == NONE:
        return [row(seed, 0, uniform(exact.victim_actions)) for seed in range(cell.seeds)]
    # A round holds a whole match: those of a Markov game have one length, and begin together.
    length = longest_match(game)
    length = length if isinstance(game, SampledMarkovGame) else 2 * length - 1
    method = _method(cell, game, exact, length)
    rows = infosets(game, victim)
    recorded = set(np.rint(np.linspace(1, cell.updates, cell.points)).astype(int).tolist())
    table = []
    for state in islice(train(game, method, cell.seed), cell.updates):
        if state.round in recorded:
            side = method.sides[VICTIM_SIDE].learner
            tables = tabulate(side.policy(state.learners[VICTIM_SIDE]), rows)
            table += [row(seed, state.round * length * cell.matches, nu) for seed, nu in enumerate(tables)]
    return table


def _method(cell: Cell, game: FiniteGame, exact: Problem, length: int) -> Any:
    victim, attacker = game.agents[:2]
    rate, critic_rate, weight = RATES[MARKOV if cell.game.startswith(MARKOV) else cell.game]
    config = A2CConfig(rate, critic_rate, gamma=_gamma(game), entropy_coef=weight)
    if cell.method == REGULARISED:
        config = replace(config, entropy_coef=0.0, magnet=weight)

    def learner(ratio: float) -> Any:
        return replicated(a2c(replace(config, learning_rate=ratio * rate)), cell.seeds)

    opponent: Any = {attacker: learner(RATIO if cell.method == TWO else 1.0)}
    if cell.method == ORACLE:
        opponent = exact_oracle(exact, infosets(game, victim))
    elif cell.method == "retrain":
        opponent = partial(_always, TabularPolicy(exact.best_response(uniform(exact.victim_actions)).policy))
    name: Any = SINGLE if cell.method == REGULARISED else cell.method
    schedule: Schedule = SCHEDULES[name]
    if schedule.past:
        every = max(1, cell.updates // SNAPSHOTS)
        schedule = replace(schedule, snapshot_every=every, max_snapshots=2 * SNAPSHOTS)
    threat = ThreatModel(victim, (attacker,), {attacker: TabularPolicy(exact.benign)}, cell.budget)
    return adversarial_training(game, threat, schedule, learner(1.0), opponent, length)


def _always(policy: Policy, _: Policy) -> Policy:
    return policy


@cache
def _game(name: str, seed: int, slots: int) -> FiniteGame:
    if name.startswith(MARKOV):
        number = int(name.rsplit(" ", 1)[1])
        drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        random = random_game(drawn, S=4, A=3, B=3, gamma=GAMMA, k=2).game
        return SampledMarkovGame(MarkovGame(random.P, random.r, random.rho, GAMMA), slots)
    game: Any = make(f"openspiel/{name}", slots)
    return game


def _gamma(game: FiniteGame) -> float:
    return GAMMA if isinstance(game, SampledMarkovGame) else 1.0


# ---------------------------------------------------------------------------------------------------------------------
# What the rows show.


def finals(rows: Sequence[Row], game: str, budget: float, method: str) -> dict[int, float]:
    """The final gap of every seed: the mean over the last tenth of its points."""
    found: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        if (row["game"], float(row["budget"]), row["method"]) == (game, budget, method):
            found.setdefault(int(row["seed"]), []).append((int(row["steps"]), float(row["gap"])))
    final = {}
    for seed, points in sorted(found.items()):
        late = sorted(points)[-max(1, round(LATE * len(points))) :]
        final[seed] = float(np.mean([gap for _, gap in late]))
    return final


def figure(rows: Sequence[Row]) -> str:
    """The gap over steps, mean over seeds: a panel for each game, a row for each budget."""
    games, budgets, methods = (_distinct(rows, key) for key in ("game", "budget", "method"))
    colours = dict(zip([method for method in methods if method != NONE], plots.MANY, strict=False))

    def draw(picture: Figure) -> None:
        panels = picture.subplots(len(budgets), len(games), squeeze=False)
        for line, budget in zip(panels, budgets, strict=True):
            line[0].set_ylabel(f"gap, budget {budget:g}")
            for axes, game in zip(line, games, strict=True):
                for method, colour in colours.items():
                    own = [r for r in rows if (r["game"], r["budget"], r["method"]) == (game, budget, method)]
                    steps = sorted({int(row["steps"]) for row in own})
                    means = [np.mean([float(r["gap"]) for r in own if int(r["steps"]) == at]) for at in steps]
                    axes.plot(steps, means, color=colour, lw=1.4, label=method)
                axes.set_yscale("log")
        for axes, game in zip(panels[0], games, strict=True):
            axes.set_title(game, fontsize=9)
        for axes in panels[-1]:
            axes.set_xlabel("steps of a seed")

    caption = f"mean over {len(_distinct(rows, 'seed'))} seeds; 0 is the most robust victim there is"
    return plots.svg("finite-defence", "Gap to the optimum", caption, 1200, 120 + 260 * len(budgets), draw)


def summary(rows: Sequence[Row]) -> str:
    """The final gap of every method, and whether the order is the expected one."""
    games, budgets, methods = (_distinct(rows, key) for key in ("game", "budget", "method"))
    seeds = len(_distinct(rows, "seed"))
    lines = [
        f"Gap to the certified optimum, mean over the last tenth of the training, over {seeds} seeds, with Student's",
        "95% interval. none: a uniform victim.",
        "",
        f"| budget | method | {' | '.join(games)} |",
        "|---" * (len(games) + 2) + "|",
    ]
    for budget in budgets:
        for method in methods:
            cells_ = [_shown(list(finals(rows, game, budget, method).values())) for game in games]
            lines.append(f"| {budget:g} | {method} | {' | '.join(cells_)} |")
    lines += [
        "",
        "Difference of the gaps, paired by seed; below 0 the first is nearer to the optimum:",
        "",
        "| game | budget | pair | difference | verdict |",
        "|---|---|---|---|---|",
    ]
    for game in games:
        for budget in budgets:
            for first, second in ((ORACLE, TWO), (TWO, SINGLE), (REGULARISED, SINGLE), (REGULARISED, TWO)):
                a, b = (finals(rows, game, budget, method) for method in (first, second))
                if a and b:
                    mean, low, high = student([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())])
                    told = "nearer" if high < 0 else "farther" if low > 0 else "cannot be told apart"
                    shown = f"{mean:.4f} [{low:.4f}, {high:.4f}]"
                    lines.append(f"| {game} | {budget:g} | {first}, {second} | {shown} | {told} |")
    return "\n".join(lines)


def _shown(values: Sequence[float]) -> str:
    mean, low, high = student(values)
    if not values:
        return ""
    return f"{mean:.4f}, one seed" if np.isnan(low) else f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def _distinct(rows: Sequence[Row], column: str) -> list[Any]:
    return list(dict.fromkeys(row[column] for row in rows))
