"""`sparring attack`: one adversarial policy under a budget, computed where that can be done, else trained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sparring.answers import AttackResult
from sparring.commands.common import accepted, mean, percent, perform, spawned, who
from sparring.commands.evaluate import chances
from sparring.console import payoff
from sparring.errors import InputError
from sparring.oracles.base import Attack, Oracle
from sparring.oracles.choose import oracle_for
from sparring.oracles.exact import ExactOracle, exact_oracle
from sparring.oracles.learned import CHECKPOINTS, slots
from sparring.oracles.options import PRESETS, OptionalInt, PolicyLike, Training
from sparring.oracles.seating import Question, ask
from sparring.records import EXACT, Rates, Reached, fields
from sparring.results import plain, read, write
from sparring.runs import Run
from sparring.types import check_budget


@dataclass(frozen=True)
class Settings(Training):
    """An adversarial policy against a frozen victim: the best response in exact games, else trained and measured.

    Example: sparring attack robosumo/ant-vs-ant,integrator=euler --victim builtin:ant --budget 0.7 --steps 500000
    """

    victim: PolicyLike
    """The policy that is attacked: builtin:NAME, native:FILE, tabular:FILE, robosumo-zoo:FILE, run:DIR, ..."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    episodes: OptionalInt = None
    """Complete matches of the evaluation of a learned attack; by default the preset's."""


def attack(game: Any, **settings: Any) -> dict[str, Any]:
    """Compute or train an adversarial policy: `sparring attack` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`; a policy may also be a `Policy`, a function, a table, or one of these for
        each agent.

    Returns:
      The JSON result (`answers.AttackResult`): `evaluate`'s keys, `policy` (the file), and `baseline`, the benign
      opponent's.

    Raises:
      InputError: bad input.
    """
    return perform("attack", accepted(Settings, game=game, **settings))


class Prepared(NamedTuple):
    oracle: Oracle
    matches: int
    exact: ExactOracle | None  # to compare a learned attack with, where the game can be enumerated


def prepare(settings: Settings) -> Prepared:
    check_budget(settings.budget)
    question = ask(settings, settings.victim)
    oracle = oracle_for(settings, question)
    matches = PRESETS[settings.preset or "standard"].episodes if settings.episodes is None else settings.episodes
    slots(matches)
    return Prepared(oracle, matches, None if oracle.name == EXACT else _comparable(question))


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    return prepared.oracle.plan(1, 2 * prepared.matches, certificates=False)


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    oracle, matches, exact = prepared
    seeds = [spawned(settings.seed, part) for part in range(3)]
    found = oracle.attack(settings.budget, run, seeds[0])
    attacked = oracle.evaluate(found.adversarial, settings.budget, matches, run, "matches", seeds[1])
    alone = oracle.evaluate(None, 0.0, matches, run, "benign-matches", seeds[2])
    scale = oracle.scale([attacked, alone])
    rates = oracle.rates(attacked, scale)
    result = AttackResult(
        **who(settings, oracle.question, run),
        **fields(rates),
        oracle=oracle.name,
        budget=settings.budget,
        reward=oracle.goal,
        policy=str(found.files[0] if len(found.files) == 1 else run.folder),
        checkpoints=tuple(str(path) for path in on_the_way(run.folder)),
        baseline=oracle.rates(alone, scale),
        damage=oracle.damage(attacked, alone, scale, 1),
        scale=scale,
        steps=found.steps,
        curve=found.curve,
        still_improving=found.still_improving,
        expl=None if rates.victim_value is None else -rates.victim_value,
        exact=None if exact is None else _reached(exact, found, settings.budget),
        wall_time_s=time.monotonic() - begun,
    )
    write(result, run.folder / "attack.json")
    return plain(result)


def on_the_way(folder: Path) -> list[Path]:
    """The files of the attacker's policies at earlier steps, in the order of their steps."""
    found = (folder / CHECKPOINTS).glob("*.safetensors")
    return sorted(found, key=lambda path: (int(path.stem.rpartition("-")[2]), path.name))


def _comparable(question: Question) -> ExactOracle | None:
    """A user's function can be attacked by learning, but has no table to be compared with."""
    policies = (*question.victims.values(), *question.threat.benign.values(), *(question.threat.others or {}).values())
    if question.finite is None or not all(policy.traceable for policy in policies):
        return None
    try:
        return exact_oracle(question)
    except InputError:
        return None  # a threat that has no exact answer, such as control for whole matches


def _reached(exact: ExactOracle, found: Attack, budget: float) -> Reached:
    problem = exact.problem(budget)
    value = problem.value(exact.nu, exact.adversarial(found.adversarial))
    return Reached(value=value, best_response_value=problem.best_response(exact.nu).value)


def text(result: dict[str, Any]) -> str:
    found: AttackResult = read({k: v for k, v in result.items() if k != "run"})
    if found.oracle == EXACT:
        assert found.victim_value is not None and found.baseline.victim_value is not None
        values = (found.victim_value, found.baseline.victim_value)
        attacked, alone = (payoff(value, max(map(abs, values))) for value in values)
        return (
            f"budget {found.budget!r}: the best response brings the victim's value down to {attacked}; "
            f"left alone, the benign opponent leaves it {alone}\n"
            f"{chances(found)}. This is exact: no attack at this budget does more.\n"
            f"{found.policy}"
        )
    lines = [
        f"budget {found.budget!r}: {_compared(found, found.baseline)}",
        "A learned attack is a lower bound: it proves nothing about stronger ones.",
    ]
    if found.still_improving is not None and found.still_improving.improving:
        lines.append(f"It was still improving when it stopped after {found.steps:,} steps: train longer.")
    if found.exact is not None:
        unit = max(abs(found.exact.value), abs(found.exact.best_response_value))
        lines.append(
            f"Exactly, it brings the victim's value down to {payoff(found.exact.value, unit)}; a best response "
            f"reaches {payoff(found.exact.best_response_value, unit)}."
        )
    return "\n".join([*lines, found.policy])


def _compared(attacked: Rates, alone: Rates) -> str:
    if attacked.win is None or alone.win is None:
        return (
            f"under the adversarial policy the victim's return is {mean(attacked)} over {attacked.episodes} matches; "
            f"with the benign opponent {mean(alone)}"
        )
    return (
        f"the adversarial policy wins {percent(attacked, 'win')} of {attacked.episodes} matches; the benign opponent "
        f"{percent(alone, 'win')}"
    )
