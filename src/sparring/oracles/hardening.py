"""Hardening a victim, by exact gradients and best responses or by sampled learners; what it is worth is exact.

Both pass through iterates (`exact.dynamics.Iterate`) of which the output rules choose one (DECISIONS 5). Where they
stand can be saved at any iterate, and gone on with bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparring.console import Stopped, interruptible, progress
from sparring.errors import InputError
from sparring.exact import dynamics
from sparring.exact.dynamics import Iterate
from sparring.exact.outputs import Outputs, outputs
from sparring.exact.problem import Problem, exploitability, uniform
from sparring.runs import Run
from sparring.types import Game, MethodName, Policy

if TYPE_CHECKING:
    from sparring.oracles.exact import ExactOracle
    from sparring.training import Method as Training
    from sparring.training import TrainState

Method = Literal[MethodName, "double-oracle", "magnetic", "regularised"]
LearnerName = Literal["a2c", "rpg"]
LEARNER: LearnerName = "a2c"  # by default
NUM_GAMES = 16  # side by side, by default
GRADIENT: tuple[Method, ...] = ("min-oracle", "two-timescale", "single-timescale", "alternating")
POINTS = 200  # of the curve, at most
SAVE_EVERY = 60.0  # s between two checkpoints; when they are written changes nothing


@dataclass(frozen=True)
class Rule:
    """A method with its rates."""

    method: Method
    learning_rate: float  # the victim's
    ratio: float  # the attacker's over the victim's
    decay: float = 0.0  # exact: the step size falls as (t + 1)^-decay
    temperature: float = 0.0  # magnetic: the weight of the entropies at first
    cooling: float = 0.0  # magnetic: the temperature falls as (t + 1)^-cooling
    magnet: float = 0.0  # regularised: the weight of the divergence from the magnet


class Hardening:
    """Where hardening stands: what every output rule would hand over, and the curve."""

    def __init__(self, problem: Problem, total: int, seed: int) -> None:
        self.problem, self.total = problem, total
        self.rng = np.random.default_rng(seed)
        self.points = set(np.unique(np.geomspace(1, total, POINTS).round()).astype(int).tolist()) | {0}
        self.curve: dict[str, list[list[float]]] = {"last": [], "best": [], "averaged": []}
        self.chosen: Outputs | None = None

    def add(self, iterate: Iterate) -> None:
        """Take the next iterate."""
        self.chosen = next(outputs(self.problem, [iterate], self.rng, self.chosen))
        if iterate.t in self.points:
            averaged = exploitability(self.problem, self.chosen.averaged)
            for name, expl in (("last", self.chosen.expl), ("best", self.chosen.best_expl), ("averaged", averaged)):
                self.curve[name].append([iterate.t, expl])

    @property
    def note(self) -> str:
        return "" if self.chosen is None else f"Expl {self.chosen.best_expl:.4f}"

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs, as arrays."""
        assert self.chosen is not None
        kept = {f"output/{name}": np.asarray(value) for name, value in self.chosen._asdict().items()}
        return kept | {f"curve/{name}": np.array(points, np.float64) for name, points in self.curve.items()}

    def meta(self) -> dict[str, Any]:
        """What `restore` needs besides, as JSON."""
        return {"rng": self.rng.bit_generator.state}

    def restore(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Go back to where `arrays` and `meta` were taken."""
        values: list[Any] = [arrays[f"output/{name}"] for name in Outputs._fields]
        self.chosen = Outputs(*(value.item() if value.ndim == 0 else value for value in values))
        self.curve = {name: [[int(t), expl] for t, expl in arrays[f"curve/{name}"].tolist()] for name in self.curve}
        self.rng.bit_generator.state = meta["rng"]


def harden_exactly(run: Run, oracle: ExactOracle, problem: Problem, rule: Rule, updates: int, seed: int) -> Hardening:
    """So many updates with exact gradients and best responses, from the oracle's victim and a uniform adversary.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    hardening = Hardening(problem, updates, seed)
    iterate = Iterate(oracle.nu, uniform(problem.attacker_actions))
    if rule.method == "retrain":
        iterate = Iterate(oracle.nu, problem.best_response(oracle.nu).policy)
    iterates = exact_iterates(problem, iterate, rule)
    if (saved := run.load()) is not None:
        arrays, meta = saved
        hardening.restore(arrays, meta)
        iterate = dynamics.restored(arrays)
        iterates = exact_iterates(problem, iterate, rule)
        next(iterates)  # it has been taken
        if iterate.t >= updates:
            return hardening
    saved_at = time.monotonic()
    with progress(updates, f"defend, {rule.method}") as advance, interruptible() as stop:
        for iterate in iterates:
            hardening.add(iterate)
            if iterate.t in hardening.points:
                advance(iterate.t, note=hardening.note)
            done = iterate.t >= updates
            if done or stop() or time.monotonic() - saved_at > SAVE_EVERY:
                run.save({**dynamics.saved(iterate), **hardening.arrays()}, hardening.meta())
                run.progress(iterate.t, updates)
                saved_at = time.monotonic()
            if done:
                break
            if stop():
                raise Stopped
    return hardening


def exact_iterates(problem: Problem, start: Iterate, rule: Rule) -> Iterator[Iterate]:
    """The method's endless iteration from a start, which is yielded first; any iterate can be the start."""
    eta_nu = dynamics.power(rule.learning_rate, rule.decay)
    eta_alpha = dynamics.power(rule.ratio * rule.learning_rate, rule.decay)
    match rule.method:
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
            return dynamics.retrain(problem, start)
        case "double-oracle":
            from sparring.exact.double_oracle import double_oracle

            return double_oracle(problem, start)
        case "magnetic":
            return dynamics.magnetic(problem, start, eta_nu, dynamics.power(rule.temperature, rule.cooling))
        case "regularised":
            raise ValueError("regularised is learned, not computed")


def harden_by_learning(
    run: Run,
    oracle: ExactOracle,
    problem: Problem,
    rule: Rule,
    learner: LearnerName,
    num_games: int,
    steps: int,
    seed: int,
) -> Hardening:
    """Networks learn from so many steps of sampled matches; the tables that they stand for are measured exactly.

    Raises:
      Stopped: Ctrl-C or SIGTERM; a checkpoint has been written.
      InputError: a method whose adversary is computed, against a team, or that the learner does not know.
    """
    from sparring.defences.adversarial_training import VICTIM
    from sparring.drive import drive
    from sparring.games.finite import infosets
    from sparring.learners.tables import tabulate
    from sparring.training import initial_state

    question = oracle.question
    game = question.make(num_games)
    method, rounds = learned_method(oracle, game, problem, rule, learner, steps)
    rows = infosets(oracle.game, question.threat.victim)
    hardening = Hardening(problem, rounds, seed)

    def take(state: TrainState) -> None:
        nu = tabulate(method.sides[VICTIM].learner.policy(state.learners[VICTIM]), rows)
        hardening.add(Iterate(nu, np.zeros(0), state.round))

    take(initial_state(game, method, seed))
    settings = {**asdict(rule), "learner": learner, "num_games": num_games, "steps": steps, "game": question.game}
    drive(
        run,
        game,
        method,
        seed=seed,
        steps=rounds * method.steps_per_round * num_games,
        label=f"defend, {rule.method}",
        settings=settings,
        beside=hardening,
        on_round=take,
    )
    return hardening


def learned_method(
    oracle: ExactOracle, game: Game, problem: Problem, rule: Rule, learner: LearnerName, steps: int
) -> tuple[Training, int]:
    """The method of training, and its rounds.

    Args:
      game: in which the training plays, with as many matches side by side.

    Raises:
      InputError: as `harden_by_learning`.
    """
    from sparring.defences.adversarial_training import SCHEDULES, adversarial_training
    from sparring.games.finite import infosets
    from sparring.learners.a2c import A2CConfig, a2c
    from sparring.learners.rpg import RPGConfig, rpg
    from sparring.learners.tables import exact_oracle
    from sparring.oracles.preparation import discount, rounds_of
    from sparring.policies import TabularPolicy

    if rule.method in ("double-oracle", "magnetic"):
        raise InputError(f"method={rule.method}: networks cannot learn by it, it is computed; use --oracle exact")
    if rule.method == "regularised" and learner != "a2c":
        raise InputError(f"method=regularised: {learner} has no magnet; use --learner a2c")
    question = oracle.question
    threat = replace(question.threat, budget=problem.budget)
    gamma = discount(question)

    def learning(rate: float) -> Any:
        discounted = 1.0 if gamma is None else gamma
        if learner == "a2c":
            config = A2CConfig(learning_rate=rate, gamma=discounted)
            if rule.magnet:  # what holds the policy back is its own past, not the uniform policy
                config = replace(config, entropy_coef=0.0, magnet=rule.magnet)
            return a2c(config)
        return rpg(RPGConfig(learning_rate=rate, gamma=discounted))

    attackers: Any = {agent: learning(rule.ratio * rule.learning_rate) for agent in threat.attackers}
    if rule.method in ("min-oracle", "retrain") and len(threat.attackers) > 1:
        raise InputError(
            f"method={rule.method}: its adversary is computed for one attacker, not for a team of learners"
        )
    if rule.method == "min-oracle":
        attackers = exact_oracle(problem, infosets(oracle.game, threat.victim))
    elif rule.method == "retrain":
        fixed = TabularPolicy(problem.best_response(uniform(problem.victim_actions)).policy)
        attackers = partial(_always, fixed)
    # A round of 2 L - 1 steps holds a whole match of at most L.
    length = 2 * longest_match(oracle.game) - 1
    method = adversarial_training(
        game,
        threat,
        SCHEDULES["single-timescale" if rule.method == "regularised" else rule.method],
        learning(rule.learning_rate),
        attackers,
        length,
    )
    return method, rounds_of(steps, game.num_games, length, fixed=True)[0]


def _always(policy: Policy, _: Policy) -> Policy:
    return policy


def longest_match(game: Any) -> int:
    """Steps that a match of a game that can be enumerated takes at most."""
    from sparring.games.markov import SampledMarkovGame
    from sparring.games.matrix import MatrixGame

    if isinstance(game, MatrixGame):
        return 1
    if isinstance(game, SampledMarkovGame):
        return game.horizon
    tree = game.tree
    moves = (tree.actor >= 0).astype(np.int64)
    for begin, end in zip(tree.level[1:-1], tree.level[2:], strict=True):
        moves[begin:end] += moves[tree.parent[begin:end]]
    return int(moves.max())
