"""`sparring defend`: harden a victim against attacks under a budget, and show how far it is from the best there is."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from sparring.answers import DefendResult
from sparring.commands import defend_simulated as simulated
from sparring.commands.common import accepted, perform, who
from sparring.console import number, payoff, settled
from sparring.errors import InputError, require
from sparring.files import write_atomic
from sparring.oracles import tables
from sparring.oracles.exact import ExactOracle, exact_oracle, planned
from sparring.oracles.hardening import (
    GRADIENT,
    LEARNER,
    NUM_GAMES,
    LearnerName,
    Method,
    Rule,
    harden_by_learning,
    harden_exactly,
    learned_method,
)
from sparring.oracles.options import OptionalFloat, OptionalInt, OptionalPolicy, RewardName, Seats, refuse
from sparring.oracles.seating import ask, describe, maker
from sparring.records import EXACT, LEARNED
from sparring.results import plain, write
from sparring.runs import Run
from sparring.types import check_budget

Output = Literal["last", "sampled", "best", "averaged"]
Direction = Literal["counterfactual", "true"]
RATIO = 10.0  # two-timescale: the attacker's learning rate over the victim's, by default
RATES = {"exact": 0.1, "learned": 0.01}  # learning rates of the victim, by default
TEMPERATURE, COOLING = 1.0, 0.5  # magnetic, by default
MAGNET = 0.1  # regularised, by default; in games that can only be simulated `oracles.defending.MAGNET`
UPDATES, STEPS = 2000, 160_000
RESULT, PAGE = "defend.json", "report.html"
OUTPUT, DIRECTION = "best", "counterfactual"  # by default
STEPPING = (*GRADIENT, "magnetic")  # methods whose steps have a size, with --oracle exact
UNREAD = {
    "exact": ("steps", "learner", "num_games"),
    "learned": ("updates", "decay", "direction", "victim"),
}
# What is read in games that can only be simulated.
SIMULATED = (
    "clean_share",
    "budget_range",
    "attacker_rounds",
    "attacker",
    "attacker_start",
    "architecture",
    "iterations",
)
SIMULATED += ("attack_steps", "episodes", "train_game", "reward", "steps_per_round", "epochs", "minibatch")


@dataclass(frozen=True)
class Settings(Seats):
    """Harden a victim by adversarial training: with exact gradients and best responses, or by sampling.

    In a game that can be enumerated what comes out is measured exactly. In any other one victim and attackers are
    trained by PPO, and fresh attackers are trained against the victim before and after.

    Example: sparring defend openspiel/kuhn_poker --method min-oracle --budget 0.7
    Example: sparring defend discs/duel --victim builtin:disc-early --method two-timescale --budget 1
    """

    method: Method = "min-oracle"
    """min-oracle: Algorithm 1. two-timescale: Algorithm 2. single-timescale, alternating: gradients at equal rates,
    at once or in turn. self-play: best responses in turn. fictitious-play: best responses to averages. retrain: once,
    against the best attack on the starting victim. double-oracle: best responses join populations, between which the
    game is solved (not with --oracle learned). magnetic: mirror descent drawn towards entropy (--oracle exact alone).
    regularised: networks that are held near a slow mean of their own policies (not with --oracle exact). Where the game
    can only be simulated, the min oracle's victim waits until its attackers hardly gain any more, and self-play and
    fictitious-play draw half or all opponents from the past."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    oracle: Literal["exact", "learned"] | None = None
    """exact: gradients and best responses by enumeration, the default in exact games. learned: networks learn from
    matches; in exact games what they are worth is still exact, and so is the min oracle."""
    victim: OptionalPolicy = None
    """Where the victim starts. Exact games: by default uniform, from where gradients reach every action; networks start
    there, too. Other games: a policy with weights (by default the agent that comes with the package), or scratch."""
    updates: OptionalInt = None
    """With --oracle exact: the victim's updates, by default 2000."""
    steps: OptionalInt = None
    """With --oracle learned: steps of all matches together, by default 160,000; in simulated games 2 million."""
    learner: LearnerName | None = None
    """With --oracle learned: advantage actor-critic (a2c, the default) or regret policy gradient (rpg), a hidden layer
    of 128 (section E.3)."""
    num_games: OptionalInt = None
    """With --oracle learned: matches side by side, by default 16; in simulated games as in attacks."""
    learning_rate: OptionalFloat = None
    """Step size of the victim's gradient steps; by default 0.1, and 0.01 of networks. In simulated games the
    attackers' is by default that of attacks, and the victim's is that over the ratio."""
    decay: OptionalFloat = None
    """With --oracle exact, of methods that take gradient steps: the step size falls as (t + 1) to the power of minus
    this, by default 0; 0.5: the inverse square root."""
    ratio: OptionalFloat = None
    """Of two-timescale: the attacker's learning rate over the victim's, by default 10."""
    temperature: OptionalFloat = None
    """Of magnetic: the weight of the entropies at the start, in payoffs; by default 1."""
    cooling: OptionalFloat = None
    """Of magnetic: the temperature falls as (t + 1) to the power of minus this, by default 0.5; 0: it is constant."""
    direction: Direction | None = None
    """With --oracle exact, in trees, of methods that take gradient steps: gradients without the agent's own reach
    (counterfactual, the default), or the true ones, which freeze where it hardly goes (DECISIONS 9). In Markov and
    matrix games every gradient is the true one."""
    output: Output | None = None
    """Which iterate is handed over: the last, one sampled in proportion to its step size, the least exploitable (best,
    the default), or the average of all. Exact games."""
    clean_share: float = 0.0
    """Simulated games, as all that follows: share of the matches at budget 0, so that the victim plays on well against
    the benign opponent."""
    budget_range: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="LOW HIGH")] = None
    """Train at budgets spread evenly from LOW to HIGH, for an unknown budget; what comes out is tested at --budget."""
    attacker_rounds: OptionalInt = None
    """The attackers' updates for each of the victim's, by default 1: timescales by updates, beside those by rates."""
    attacker: OptionalPolicy = None
    """Of retrain: the fixed attacker; by default one is trained first against the starting victim."""
    attacker_start: Annotated[str | None, tyro.conf.arg(metavar="benign|scratch|POLICY")] = None
    """Where the attackers start, as in `sparring attack --start`."""
    iterations: OptionalInt = None
    """Of double-oracle: how often a best response joins each side's population, by default 4; --steps is shared by
    all."""
    magnet: OptionalFloat = None
    """Of regularised: weight of the divergence from the mean of the policies so far, by default 0.1; in simulated games
    0.05."""
    architecture: Literal["mlp", "lstm"] | None = None
    """Of networks that start from scratch, by default mlp."""
    attack_steps: OptionalInt = None
    """Steps of the fresh attackers before and after; by default half of --steps, at least 20,000. 0: none."""
    episodes: OptionalInt = None
    """Complete matches of each evaluation, by default 400."""
    train_game: Annotated[str | None, tyro.conf.arg(metavar="GAME")] = None
    """Train in another variant of the game than the evaluated one."""
    reward: RewardName | None = None
    """What attackers maximise, as in `sparring attack`; the victim wants the opposite."""
    steps_per_round: OptionalInt = None
    """Steps of each match between two updates."""
    epochs: OptionalInt = None
    """PPO: passes over each round's steps."""
    minibatch: OptionalInt = None
    """PPO: steps per gradient step."""


def defend(game: Any, **settings: Any) -> dict[str, Any]:
    """Harden a victim: `sparring defend` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`; policies may also be a `Policy` or a table.

    Returns:
      The JSON result (`answers.DefendResult`): `policy` (the file) and `curve`; in exact games `expl` of the hardened
      victim, `robust_expl` (the least that any victim reaches), `gap` and `start_expl`; in others `before` and `after`
      (matches against the benign opponent and against fresh attackers) and `oscillation`.

    Raises:
      InputError: bad input.
    """
    return perform("defend", accepted(Settings, game=game, **settings))


class Prepared(NamedTuple):
    oracle: ExactOracle
    problem: Any
    rule: Rule
    length: int  # updates, or steps of all matches together
    num_games: int


def prepare(settings: Settings) -> Prepared | simulated.Prepared:
    from sparring.exact.tree import TreeProblem
    from sparring.games.finite import finite

    check_budget(settings.budget)
    first = maker(settings.game, settings.threads)[1](1)
    if finite(first) is None:
        return simulated.prepare(settings, first)
    refuse(settings, SIMULATED, "it is read in games that can only be simulated")
    method, kind = settings.method, _kind(settings)
    if method == "regularised" and kind == "exact":
        raise InputError("method=regularised: networks learn by it; use --oracle learned, or --method magnetic")
    other = "learned" if kind == "exact" else "exact"
    refuse(settings, UNREAD[kind], f"it is read with --oracle {other} alone: use that")
    if kind == "exact" and method not in STEPPING:
        refuse(settings, ("learning_rate", "decay"), f"{method} takes no gradient steps; use --method min-oracle")
    if method not in GRADIENT:
        refuse(settings, ("direction",), f"{method} follows no gradient of this kind; use --method min-oracle")
    for name in ("updates", "steps", "num_games"):
        if (value := getattr(settings, name)) is not None and value < 1:
            raise InputError(f"{name.replace('_', '-')}: expected at least 1, got {value}")
    for name in ("learning_rate", "decay", "temperature", "cooling"):
        if (value := getattr(settings, name)) is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name.replace('_', '-')}: expected a number of at least 0, got {value}")
    if settings.ratio is not None and settings.method != "two-timescale":
        raise InputError(f"ratio: {settings.method} has no ratio of learning rates; use --method two-timescale")
    if settings.ratio is not None and not (math.isfinite(settings.ratio) and settings.ratio > 0):
        raise InputError(f"ratio: expected a positive number, got {settings.ratio}")
    if method != "regularised":
        refuse(settings, ("magnet",), f"{method} has no magnet; use --method regularised")
    elif settings.magnet is not None and not (math.isfinite(settings.magnet) and settings.magnet > 0):
        raise InputError(f"magnet: expected a positive number, got {settings.magnet}")
    if method != "magnetic":
        refuse(settings, ("temperature", "cooling"), f"{method} has no temperature; use --method magnetic")
    oracle = exact_oracle(ask(settings, _start(settings), first))
    problem = oracle.problem(settings.budget)
    if isinstance(problem, TreeProblem):
        problem = replace(problem, direction=settings.direction or DIRECTION)
    else:
        refuse(settings, ("direction",), f"{oracle.question.game} is no tree, and has one kind of gradient")
    ratio = (RATIO if settings.ratio is None else settings.ratio) if settings.method == "two-timescale" else 1.0
    rate = RATES[kind] if settings.learning_rate is None else settings.learning_rate
    temperature = TEMPERATURE if settings.temperature is None else settings.temperature
    cooling = COOLING if settings.cooling is None else settings.cooling
    magnet = (MAGNET if settings.magnet is None else settings.magnet) if method == "regularised" else 0.0
    rule = Rule(method, rate, ratio, settings.decay or 0.0, temperature, cooling, magnet)
    num_games = NUM_GAMES if settings.num_games is None else settings.num_games
    if kind == "exact":
        if settings.method in GRADIENT:
            require("numba", "exact")  # their steps are projected by what it compiles
        return Prepared(oracle, problem, rule, UPDATES if settings.updates is None else settings.updates, 0)
    if settings.method in ("self-play", "fictitious-play") and num_games < 2:
        raise InputError(f"num-games: {method} needs at least 2 matches side by side, one for each side to learn")
    steps = STEPS if settings.steps is None else settings.steps
    game = oracle.question.make(num_games)
    training, rounds = learned_method(oracle, game, problem, rule, settings.learner or LEARNER, steps)
    return Prepared(oracle, problem, rule, rounds * training.steps_per_round * num_games, num_games)


def _kind(settings: Settings) -> Literal["exact", "learned"]:
    """How the victim learns in a game that can be enumerated."""
    return settings.oracle or "exact"


def _start(settings: Settings) -> Any:
    return "uniform" if settings.victim is None else settings.victim


def plan(settings: Settings, prepared: Prepared | simulated.Prepared) -> dict[str, Any]:
    if isinstance(prepared, simulated.Prepared):
        return simulated.plan(settings, prepared)
    done = {"method": settings.method, "victim_rows": len(prepared.problem.victim_actions)}
    if _kind(settings) == "exact":
        from sparring.exact.cost import hardening_cost

        cost = hardening_cost(prepared.problem, prepared.length, settings.method == "double-oracle")
        return {**done, "updates": prepared.length, **planned(cost)}
    return {**done, "steps": prepared.length, "estimate": "minutes for a few thousand rounds; under 10 MB of disk"}


def execute(settings: Settings, prepared: Prepared | simulated.Prepared, run: Run) -> dict[str, Any]:
    from sparring.exact.robust import robust

    if isinstance(prepared, simulated.Prepared):
        return finished(simulated.execute(settings, prepared, run), run)
    begun = time.monotonic()
    oracle, problem, rule, length, num_games = prepared
    if _kind(settings) == "exact":
        hardening = harden_exactly(run, oracle, problem, rule, length, settings.seed)
    else:
        learner, seed = settings.learner or LEARNER, settings.seed
        hardening = harden_by_learning(run, oracle, problem, rule, learner, num_games, length, seed)
    output = settings.output or OUTPUT
    chosen = getattr(hardening.chosen, output)
    best = problem.best_response(chosen)
    expl = settled(-best.value, problem.scale)
    # Where payoffs are of very different sizes, the linear program may know a worse victim.
    optimum = min(settled(-robust(problem).lower, problem.scale), expl)
    question = oracle.question
    victim = tables.save_victim(run.folder / "victim.json", oracle.game, question.threat.victim, chosen)
    attackers = question.threat.attackers
    attack = tables.save_attacker(run.folder / "attacker.json", oracle.game, attackers, problem, best.policy)
    result = DefendResult(
        **who(settings, question, run),
        oracle=EXACT if _kind(settings) == "exact" else LEARNED,
        budget=problem.budget,
        method=settings.method,
        output=output,
        steps=length,
        policy=str(victim),
        start=describe(_start(settings)),
        direction=_direction(settings, problem),
        learning_rate=rule.learning_rate,
        ratio=rule.ratio,
        temperature=rule.temperature if settings.method == "magnetic" else None,
        cooling=rule.cooling if settings.method == "magnetic" else None,
        magnet=rule.magnet if settings.method == "regularised" else None,
        start_expl=hardening.curve["last"][0][1],
        expl=expl,
        robust_expl=optimum,
        gap=settled(expl - optimum, problem.scale),
        attack=str(attack),
        figure=str(run.folder / "curve.svg"),
        curve={name: tuple((float(t), expl) for t, expl in points) for name, points in hardening.curve.items()},
        wall_time_s=time.monotonic() - begun,
    )
    return finished(result, run)


def _direction(settings: Settings, problem: Any) -> Direction | None:
    """Which gradients were taken, where there are two kinds of them."""
    from sparring.exact.tree import TreeProblem

    taken = _kind(settings) == "exact" and settings.method in GRADIENT
    return (settings.direction or DIRECTION) if taken and isinstance(problem, TreeProblem) else None


def finished(result: DefendResult, run: Run) -> dict[str, Any]:
    """Write the result, its figure and its page; as plain JSON."""
    from sparring.report.hardening_page import figure_of

    write_atomic(run.folder / "curve.svg", figure_of(result).encode())
    write(result, run.folder / RESULT)
    write_page(result, run.folder)
    return plain(result)


def write_page(result: DefendResult, folder: Path) -> Path:
    """Write the page of a result; returns its path."""
    from sparring.report.hardening_page import page_of

    write_atomic(folder / PAGE, page_of(result, said(result)).encode())
    return folder / PAGE


def said(result: DefendResult) -> list[str]:
    """What is told of a result, in words, without its file."""
    return text(plain(result)).splitlines()[:-1]


def text(result: dict[str, Any]) -> str:
    if result["after"] is not None:
        return simulated.text(result)
    unit = "updates" if result["oracle"] == EXACT else "steps"
    shown = ("start_expl", "expl", "robust_expl")
    size = max(abs(result[key]) for key in shown)
    start, end, least = (payoff(result[key], size) for key in shown)
    return (
        f"{result['method']}, {result['steps']:,} {unit}, budget {result['budget']!r}: "
        f"exploitability {start} -> {end} ({result['output']} iterate)\n"
        f"no victim has less than {least}: the gap is {number(settled(result['gap'], size), '.2g')}\n"
        f"{result['policy']}"
    )
