"""`sparring defend`: harden a victim against attacks under a budget, and show how far it is from the best there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from sparring.commands import learned_defence
from sparring.commands.common import OptionalFloat, PolicyLike, Seats, describe, perform
from sparring.commands.exact import (
    EXACT_ESTIMATE,
    Contest,
    contest,
    finite_game,
    save_attacker,
    save_victim,
    seats_of,
    table,
)
from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError, unknown
from sparring.files import write_atomic, write_json
from sparring.runs import Run

if TYPE_CHECKING:
    from sparring.exact.dynamics import Iterate

Method = Literal[
    "min-oracle", "two-timescale", "single-timescale", "alternating", "self-play", "fictitious-play", "retrain"
]
Output = Literal["last", "sampled", "best", "averaged"]
Oracle = Literal["exact", "learned"]
LearnerName = Literal["a2c", "rpg"]
Direction = Literal["counterfactual", "true"]
CHOICES = {"method": Method, "output": Output, "oracle": Oracle, "learner": LearnerName, "direction": Direction}
RATIO = 10.0  # two-timescale: the attacker's learning rate over the victim's, by default
RATES = {"exact": 0.1, "learned": 0.01}  # learning rates of the victim, by default
ESTIMATES = {"exact": EXACT_ESTIMATE, "learned": "minutes for a few thousand rounds; under 10 MB of disk"}
POINTS = 200  # of the curve, at most


@dataclass(frozen=True)
class Settings(Seats):
    """Harden a victim by adversarial training, with exact gradients and best responses or by sampling. Exact games.

    Example: sparring defend openspiel/kuhn_poker --method min-oracle --budget 0.7
    """

    method: Method = "min-oracle"
    """min-oracle: Algorithm 1. two-timescale: Algorithm 2. single-timescale, alternating: gradients at equal rates,
    at once or in turn. self-play: best responses in turn. fictitious-play: best responses to averages. retrain: once,
    against the best attack on the starting victim."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    victim: PolicyLike = "uniform"
    """Where the victim starts; from the interior (uniform) gradients reach every action."""
    steps: int = 2000
    """Updates; in sampled form rounds."""
    oracle: Oracle = "exact"
    """exact: gradients and best responses by enumeration. learned: networks learn from matches; what they are worth is
    still exact, and so is the min oracle."""
    learner: LearnerName = "a2c"
    """Learned: advantage actor-critic or regret policy gradient, one hidden layer of 128 (section E.3)."""
    num_games: int = 16
    """Learned: matches per round."""
    learning_rate: OptionalFloat = None
    """Step size of the victim's gradient steps; by default 0.1, and 0.01 of networks."""
    decay: float = 0.0
    """Exact: the step size falls as (t + 1) to the power of minus this: 0.5 is the inverse square root."""
    ratio: OptionalFloat = None
    """Of two-timescale: the attacker's learning rate over the victim's, by default 10."""
    direction: Direction = "counterfactual"
    """Exact, in trees: gradients without the agent's own reach, or the true ones, which freeze where it hardly goes
    (DECISIONS 9). In Markov and matrix games every gradient is the true one."""
    output: Output = "best"
    """Which iterate is handed over: the last, one sampled in proportion to its step size, the least exploitable, or the
    average of all."""


def defend(game: str, **settings: Any) -> dict[str, Any]:
    """Harden a victim: `sparring defend` as a function.

    Args:
      game: a game's id.
      **settings: the fields of `Settings`; policies may also be a `Policy` or an array [I, A] of probabilities.

    Returns:
      The JSON result: `expl` of the hardened victim, `robust_expl` (the least that any victim reaches), `gap`,
      `start_expl`, `policy` (the file), and `curve`.

    Raises:
      InputError: bad input.
    """
    return perform("defend", Settings(game=game, **settings))


class Prepared(NamedTuple):
    arena: Contest
    nu: np.ndarray


def prepare(settings: Settings) -> Prepared:
    from sparring.exact.tree import TreeProblem

    for name, known in CHOICES.items():
        if getattr(settings, name) not in get_args(known):
            raise unknown(name, getattr(settings, name), get_args(known))
    if settings.steps < 1:
        raise InputError(f"steps: expected at least 1, got {settings.steps}")
    for name in ("learning_rate", "decay"):
        if (value := getattr(settings, name)) is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name.replace('_', '-')}: expected a number of at least 0, got {value}")
    if settings.ratio is not None and settings.method != "two-timescale":
        raise InputError(f"ratio: {settings.method} has no ratio of learning rates; use --method two-timescale")
    if settings.ratio is not None and not (math.isfinite(settings.ratio) and settings.ratio > 0):
        raise InputError(f"ratio: expected a positive number, got {settings.ratio}")
    game = finite_game(settings.game, "defend")
    arena = contest(game, settings, settings.budget)
    if isinstance(arena.problem, TreeProblem):
        arena = arena._replace(problem=replace(arena.problem, direction=settings.direction))
    if settings.oracle == "learned":
        learned_defence.check(settings, arena)
    return Prepared(arena, table(settings.victim, game, arena.victim))


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    rows = len(prepared.arena.problem.victim_actions)
    return {
        "method": settings.method,
        "updates": settings.steps,
        "victim_rows": rows,
        "estimate": ESTIMATES[settings.oracle],
    }


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    from sparring.exact.outputs import outputs
    from sparring.exact.problem import exploitability
    from sparring.exact.robust import robust
    from sparring.report.plots import defence_figure

    arena, problem = prepared.arena, prepared.arena.problem
    rng = np.random.default_rng(settings.seed)
    points = set(np.unique(np.geomspace(1, settings.steps, POINTS).round()).astype(int).tolist()) | {0}
    curve: dict[str, list[list[float]]] = {"last": [], "best": [], "averaged": []}
    chosen = prepared.nu
    with progress(settings.steps, f"defend, {settings.method}") as advance, interruptible() as stop:
        for t, found in enumerate(islice(outputs(problem, _iterates(settings, prepared), rng), settings.steps + 1)):
            if t in points:
                averaged = exploitability(problem, found.averaged)
                for name, expl in (("last", found.expl), ("best", found.best_expl), ("averaged", averaged)):
                    curve[name].append([t, expl])
                advance(t, note=f"Expl {found.best_expl:.4f}")
            if stop():
                raise Stopped  # nothing is kept: resumed, it does the same again
            chosen = getattr(found, settings.output)
    optimum = -robust(problem).lower
    best = problem.best_response(chosen)
    title = f"Hardening by {settings.method}"
    figure = defence_figure(curve, optimum, title, f"{arena.game.id}, budget {problem.budget:g}; Expl is exact")
    write_atomic(run.folder / "curve.svg", figure.encode())
    result = {
        **seats_of(settings, arena),
        "budget": problem.budget,
        "method": settings.method,
        "start": describe(settings.victim),
        "direction": settings.direction,
        "output": settings.output,
        "oracle": settings.oracle,
        "start_expl": curve["last"][0][1],
        "expl": -best.value,
        "robust_expl": optimum,
        "gap": -best.value - optimum,
        "steps": settings.steps,
        "learning_rate": _rate(settings),
        "ratio": _ratio(settings),
        "policy": str(save_victim(run.folder / "victim.json", arena, chosen)),
        "attack": str(save_attacker(run.folder / "attacker.json", arena, best.policy)),
        "figure": str(run.folder / "curve.svg"),
        "curve": curve,
    }
    write_json(run.folder / "defend.json", result)
    return result


def text(result: dict[str, Any]) -> str:
    return (
        f"{result['method']}, {result['steps']} updates, budget {result['budget']:g}: "
        f"exploitability {result['start_expl']:.6f} -> {result['expl']:.6f} ({result['output']} iterate)\n"
        f"no victim has less than {result['robust_expl']:.6f}: the gap is {result['gap']:.2g}\n"
        f"{result['policy']}"
    )


def _iterates(settings: Settings, prepared: Prepared) -> Iterator[Iterate]:
    """The method's endless iteration; the exact ones start from the given victim and a uniform adversarial policy."""
    from sparring.exact import dynamics
    from sparring.exact.problem import uniform

    rate, ratio = _rate(settings), _ratio(settings)
    if settings.oracle == "learned":
        return learned_defence.iterates(settings, prepared.arena, rate, ratio)
    problem, nu = prepared.arena.problem, prepared.nu
    start = dynamics.Iterate(nu, uniform(problem.attacker_actions))
    eta_nu, eta_alpha = dynamics.power(rate, settings.decay), dynamics.power(ratio * rate, settings.decay)
    match settings.method:
        case "min-oracle":
            return dynamics.min_oracle(problem, start, eta_nu)
        case "two-timescale" | "single-timescale":
            return dynamics.simultaneous(problem, start, eta_nu, eta_alpha)
        case "alternating":
            return dynamics.alternating(problem, start, eta_nu, eta_alpha)
        case "self-play":
            return dynamics.alternating_best_response(problem, start)
        case "fictitious-play":
            return dynamics.fictitious_play(problem, start)
        case "retrain":
            return dynamics.retrain(problem, dynamics.Iterate(nu, problem.best_response(nu).policy))


def _rate(settings: Settings) -> float:
    return RATES[settings.oracle] if settings.learning_rate is None else settings.learning_rate


def _ratio(settings: Settings) -> float:
    if settings.method != "two-timescale":
        return 1.0
    return RATIO if settings.ratio is None else settings.ratio
