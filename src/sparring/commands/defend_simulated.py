"""`sparring defend` where a game can only be simulated: PPO on both sides, then fresh attackers, before and after."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from sparring.answers import DefendResult
from sparring.commands.common import deciding, mean, percent, spawned, who
from sparring.errors import InputError
from sparring.files import read_json, write_atomic
from sparring.jobs import Job, map_jobs
from sparring.oracles import options, population, seating
from sparring.oracles.defending import (
    CURVE_FILE,
    VICTIM_FILE,
    Hardening,
    LearnedMethod,
    harden,
    hardened,
    hardening_of,
)
from sparring.oracles.hardening_curve import curve_points, oscillation_of
from sparring.oracles.learned import LearnedOracle, slots
from sparring.oracles.options import PRESETS, refuse
from sparring.oracles.preparation import training_of
from sparring.oracles.seating import Question, ask, describe, with_victim
from sparring.records import LEARNED, Rates, Tested
from sparring.results import read
from sparring.runs import Run
from sparring.types import Game, Policy, check_budget

if TYPE_CHECKING:
    from sparring.nets import ActorCritic

SCRATCH = "scratch"
FIXED, BEFORE, HARDEN, AFTER = "fixed", "before", "harden", "after"  # the jobs of a run, in this order
CLEAN, ATTACKED = "clean", "attacked"  # the matches of a test
UNREAD = ("updates", "learner", "decay", "direction", "output", "temperature", "cooling")  # options of exact games


class Prepared(NamedTuple):
    hardening: Hardening  # of double-oracle: of one best response
    before: LearnedOracle  # attacks and matches of the starting victim
    attack_steps: int
    matches: int
    fixed: Policy | None  # the given attacker of `retrain`
    iterations: int = 0  # of double-oracle


def prepare(settings: Any, first: Game) -> Prepared:
    """Resolve the settings.

    Args:
      settings: those of `defend`.
      first: one match of the game.

    Raises:
      InputError: an option that is not read here or does not fit, or as `ask`, `training_of` and `hardening_of`.
    """
    _check(settings)
    question, start = _asked(settings, first)
    new = settings.victim == SCRATCH
    training = training_of(_training(settings, settings.steps, settings.attacker_start), question)
    whole, iterations = training.config.steps, 0
    if settings.method == "double-oracle":
        iterations = population.ITERATIONS if settings.iterations is None else settings.iterations
        one = population.steps_of(whole, iterations)
        training = training_of(_training(settings, one, settings.attacker_start), question)
    if settings.architecture is not None and not new and training.config.start != SCRATCH:
        raise InputError(
            "architecture: both sides start from given weights, which have one; use victim=scratch or "
            "attacker-start=scratch, or leave it out"
        )
    hardening = hardening_of(settings, question, training, start, new)
    attack_steps = settings.attack_steps
    if attack_steps is None:
        attack_steps = max(PRESETS["smoke"].steps, whole // 2)
    # Fresh attackers are trained as `sparring attack` trains them.
    fresh = training_of(_training(settings, max(attack_steps, 1), None), question)
    matches = PRESETS["standard"].episodes if settings.episodes is None else settings.episodes
    slots(matches)
    fixed = None
    if settings.attacker is not None:
        fixed = seating.policy(settings.attacker, question.first, question.threat.attackers[0], "attacker")
    elif settings.method == "retrain" and not attack_steps:
        raise InputError("attack-steps=0: retrain needs an attacker; give attacker=POLICY or some attack-steps")
    return Prepared(hardening, LearnedOracle(question, fresh), attack_steps, matches, fixed, iterations)


def plan(settings: Any, prepared: Prepared) -> dict[str, Any]:
    hardening, oracle = prepared.hardening, prepared.before
    assert oracle.training is not None
    attacks = (2 + (settings.method == "retrain" and prepared.fixed is None)) if prepared.attack_steps else 0
    taken = _steps(prepared) + attacks * prepared.attack_steps
    # Two learners in place of one while the victim is hardened, but for the double oracle.
    both = 0 if prepared.iterations else hardening.steps
    training = replace(oracle.training, config=replace(oracle.training.config, steps=taken + both))
    done = LearnedOracle(oracle.question, training).plan(1, (4 if attacks else 2) * prepared.matches)
    return {**done, "method": settings.method, "training_steps": taken}


def execute(settings: Any, prepared: Prepared, run: Run) -> DefendResult:
    """Do what is not done yet, and gather what was found."""
    begun = time.monotonic()
    hardening = prepared.hardening
    names = [BEFORE, HARDEN, AFTER]
    if settings.method == "retrain" and prepared.fixed is None:
        names = [FIXED, *names]
    if prepared.iterations:
        names = [BEFORE, *population.jobs_of(prepared.iterations), AFTER]
    jobs = [Job(name, {"kind": name, **deciding(settings)}) for name in names]

    def work(config: Mapping[str, Any], own: Run) -> None:
        _do(settings, prepared, config["kind"], own)

    folders = map_jobs(jobs, work, run, label=f"defend, {settings.method}")
    if prepared.iterations:
        policy = population.gather(run.folder, prepared.iterations, hardening)
        rows, halved_at = population.rows_of(folders[BEFORE].parent, prepared.iterations, hardening.steps), None
    else:
        policy = run.folder / VICTIM_FILE
        write_atomic(policy, (folders[HARDEN] / VICTIM_FILE).read_bytes())
        recorded = read_json(folders[HARDEN] / CURVE_FILE)
        rows, halved_at = recorded["rounds"], recorded["halved_at"]
    curve, question = curve_points(rows), hardening.question
    before, after = _tests(settings, prepared, folders)
    return DefendResult(
        **who(settings, question, run),
        oracle=LEARNED,
        budget=settings.budget,
        method=settings.method,
        output="mixture" if prepared.iterations else "averaged" if hardening.victim.average else "last",
        steps=_steps(prepared),
        policy=str(policy),
        start=question.names.victim,
        learning_rate=hardening.victim.learning_rate,
        ratio=hardening.ratio,
        magnet=hardening.victim.magnet if settings.method == "regularised" else None,
        halved_at=halved_at,
        figure=str(run.folder / "curve.svg"),
        curve=curve,
        clean_share=settings.clean_share,
        budget_range=settings.budget_range,
        attacker_start=hardening.attacker.config.start,
        fresh_start=prepared.before.training.config.start if prepared.before.training else None,
        oscillation=oscillation_of(rows),
        before=before,
        after=after,
        wall_time_s=time.monotonic() - begun,
    )


def text(result: dict[str, Any]) -> str:
    found: DefendResult = read({k: v for k, v in result.items() if k != "run"})
    before, after, moved = found.before, found.after, found.oscillation
    assert before is not None and after is not None and moved is not None
    lines = [
        f"{found.method}, {found.steps:,} steps, budget {found.budget!r}",
        f"against the benign opponent: before, {_how(before.clean)}; after, {_how(after.clean)}",
    ]
    if before.attacked is None or after.attacked is None:
        lines.append("No fresh attacker was trained (attack-steps 0): how robust the victim is was not measured.")
    else:
        lines += [
            f"against fresh attackers of {after.attack_steps:,} steps: before, {_how(before.attacked)}; after, "
            f"{_how(after.attacked)}",
            "What is found is a lower bound: a stronger attacker may do more damage.",
        ]
        if after.still_improving is not None and after.still_improving.improving:
            lines.append("The attacker of the hardened victim was still improving when it stopped: train it longer.")
    if found.halved_at is not None:
        lines.append(f"A loss was no number: from step {found.halved_at:,} on both sides learned half as fast.")
    if moved.variance is not None:
        lines.append(
            f"In the last half of training the score had a variance of {moved.variance:.3g} and moved by "
            f"{moved.total_variation:.3g} in all."
        )
    return "\n".join([*lines, found.policy])


def _how(rates: Rates) -> str:
    if rates.fail is None:
        return f"the victim's return is {mean(rates)}"
    return f"the victim loses {percent(rates, 'fail')} of {rates.episodes} matches"


def _do(settings: Any, prepared: Prepared, kind: str, run: Run) -> None:
    """One job, in the folder of its own."""
    hardening, oracle, seed = prepared.hardening, prepared.before, settings.seed
    jobs = run.folder.parent
    if kind == FIXED:
        oracle.attack(settings.budget, run, spawned(seed, 0))
    elif kind == HARDEN:
        fixed = prepared.fixed
        if settings.method == "retrain" and fixed is None:
            fixed = oracle.found(settings.budget, jobs / FIXED).adversarial[hardening.question.threat.attackers[0]]
        harden(run, hardening, spawned(seed, 1), fixed)
    elif kind not in (BEFORE, AFTER):
        number = population.jobs_of(prepared.iterations).index(kind)
        trained = replace(oracle, training=hardening.attacker)
        population.work(kind, run, hardening, trained, prepared.matches, spawned(seed, 5, number))
    else:
        tested = oracle
        if kind == AFTER and prepared.iterations:
            tested = _about(oracle, str(population.gather(jobs.parent, prepared.iterations, hardening)))
        elif kind == AFTER:
            tested = _about(oracle, hardened(jobs / HARDEN))
        number = 2 if kind == BEFORE else 3
        budget, matches = settings.budget, prepared.matches
        tested.evaluate(None, 0.0, matches, run, CLEAN, spawned(seed, number, 0))
        if prepared.attack_steps:
            found = tested.attack(budget, run, spawned(seed, number, 1))
            tested.evaluate(found.adversarial, budget, matches, run, ATTACKED, spawned(seed, number, 2))


def _tests(settings: Any, prepared: Prepared, folders: Mapping[str, Path]) -> tuple[Tested, Tested]:
    """What the jobs have found, on one scale."""
    oracle, attacked = prepared.before, bool(prepared.attack_steps)
    names = (CLEAN, ATTACKED) if attacked else (CLEAN,)
    measured = {kind: [oracle.measured(folders[kind], name) for name in names] for kind in (BEFORE, AFTER)}
    scale = oracle.scale([one for both in measured.values() for one in both])
    tests = []
    for kind, (clean, *rest) in measured.items():
        test = Tested(clean=oracle.rates(clean, scale))
        if attacked:
            found = oracle.found(settings.budget, folders[kind])
            test = Tested(
                clean=test.clean,
                attacked=oracle.rates(rest[0], scale),
                damage=oracle.damage(rest[0], clean, scale, 2),
                attack=str(found.files[0] if len(found.files) == 1 else folders[kind]),
                attack_steps=found.steps or 0,
                still_improving=found.still_improving,
            )
        tests.append(test)
    return tests[0], tests[1]


def _steps(prepared: Prepared) -> int:
    """Of the hardening, all best responses of a double oracle together."""
    return prepared.hardening.steps * (2 * prepared.iterations or 1)


def _about(oracle: LearnedOracle, victim: ActorCritic | str) -> LearnedOracle:
    """The same oracle, asked about another victim, a network or a mixture's file; the benign opponent stays."""
    question = with_victim(oracle.question, f"mixture:{victim}" if isinstance(victim, str) else victim)
    return replace(oracle, question=replace(question, names=question.names._replace(victim=VICTIM_FILE)))


def _asked(settings: Any, first: Game) -> tuple[Question, ActorCritic]:
    """The question about the starting victim, and its weights.

    Raises:
      InputError: it has none, or a victim from scratch has no benign opponent.
    """
    from sparring.nets import ActorCritic

    victim = settings.victim
    if victim == SCRATCH:
        if settings.benign is None:
            raise InputError("victim=scratch: give benign=POLICY; a new victim has no policy for the attacker's agent")
        agents = seating.agents_of(settings.victim_seat, first, "victim-seat") or first.agents[:1]
        victim = _new(settings, first.spaces[agents[0]])
    question = ask(settings, victim, first)
    start = question.victims[question.threat.victim]
    if not isinstance(start, ActorCritic):
        raise InputError(
            f"victim={question.names.victim}: expected a policy with weights of this package's kind, such as "
            "builtin:NAME, native:FILE or run:DIR, or scratch for new ones"
        )
    if settings.victim == SCRATCH:
        question = replace(question, names=question.names._replace(victim=SCRATCH))
    return question, start


def _new(settings: Any, spaces: Any) -> ActorCritic:
    """A victim of random weights."""
    from sparring.nets import NetworkConfig, actor_critic

    known = getattr(seating.family_learning(describe(settings.game)), "NETWORK", {})
    network = NetworkConfig(**{**known, "architecture": settings.architecture or "mlp"})
    return actor_critic(spaces, network, np.array([0, spawned(settings.seed, 4)], np.uint32))


def _training(settings: Any, steps: int | None, start: str | None) -> options.Training:
    """The settings of an attacker's training, as `sparring attack` has them."""
    return options.Training(
        game=settings.game,
        threads=settings.threads,
        steps=steps,
        start=start,
        train_game=settings.train_game,
        reward=settings.reward,
        num_games=settings.num_games,
        steps_per_round=settings.steps_per_round,
        epochs=settings.epochs,
        minibatch=settings.minibatch,
    )


def _check(settings: Any) -> None:
    check_budget(settings.budget)
    if settings.method not in get_args(LearnedMethod):
        methods = ", ".join(get_args(LearnedMethod))
        raise InputError(f"method={settings.method}: it needs a game that can be enumerated; here there are {methods}")
    if settings.oracle == "exact":
        raise InputError(
            "oracle=exact: this game can only be simulated, so both sides learn from matches: use --oracle learned, or "
            "leave it out"
        )
    refuse(settings, UNREAD, "it is read in games that can be enumerated alone")
    reads = {
        "ratio": ("two-timescale",),
        "magnet": ("regularised",),
        "attacker": ("retrain",),
        "iterations": ("double-oracle",),
        "attacker_rounds": ("two-timescale", "single-timescale", "regularised", "self-play", "fictitious-play"),
    }
    for name, methods in reads.items():
        if settings.method not in methods:
            refuse(settings, (name,), f"{settings.method} does not read it: use method={methods[0]}")
    if settings.method == "retrain":
        refuse(settings, ("attacker_start",), "retrain meets one fixed attacker: use attacker=POLICY")
    for name, least in (("iterations", 1), ("attacker_rounds", 1), ("attack_steps", 0), ("steps", 1), ("num_games", 1)):
        if (value := getattr(settings, name)) is not None and value < least:
            raise InputError(f"{name.replace('_', '-')}: expected at least {least}, got {value}")
    for name in ("ratio", "magnet", "learning_rate"):
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name.replace('_', '-')}: expected a positive number, got {value}")
    if settings.budget_range is not None and len(settings.budget_range) != 2:
        raise InputError(f"budget-range: expected two budgets, got {len(settings.budget_range)}")
