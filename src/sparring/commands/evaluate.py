"""`sparring evaluate`: who wins, by enumeration or by matches with intervals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sparring.commands.common import accepted, mean, percent, perform, spawned, who
from sparring.console import number
from sparring.oracles.base import Adversarial, Oracle
from sparring.oracles.exact import exact_oracle, refuse_unread
from sparring.oracles.learned import LearnedOracle, slots
from sparring.oracles.options import Controlled, OptionalInt, PolicyLike, PolicyPerAgent
from sparring.oracles.seating import ask, describe, for_each
from sparring.records import EXACT, SAMPLED, EvaluateResult, Rates, fields
from sparring.results import plain, read, write
from sparring.runs import Run
from sparring.types import check_budget

EPISODES = 400


@dataclass(frozen=True)
class Settings(Controlled):
    """Win, draw and loss of an attacker against a victim under a budget: exact, or each with its 95% interval.

    Example: sparring evaluate robosumo/ant-vs-ant --victim builtin:ant --attacker zero --budget 0.3
    """

    victim: PolicyLike
    """The policy that is attacked: zero, random, builtin:NAME, native:FILE, robosumo-zoo:FILE.npy, run:DIR, ..."""
    attacker: PolicyPerAgent
    """What the attackers' agents do when they are controlled: one policy for all of them, or one for each, in the order
    of --attackers (by default that of the game's agents)."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    oracle: Literal["exact", "sampled"] | None = None
    """exact: probabilities by enumeration, the default in exact games. sampled: rates over matches."""
    episodes: OptionalInt = None
    """Complete matches, where they are sampled; by default 400."""


def evaluate(game: Any, **settings: Any) -> dict[str, Any]:
    """Evaluate an attacker: `sparring evaluate` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`; a policy may also be a `Policy`, a function `(observation, rng) -> action`,
        a table, or one of these for each agent.

    Returns:
      The JSON result (`records.EvaluateResult`): `win`, `draw`, `loss` (the attacker's), `victim_return`, ..., each
      with `_ci`; exact values are `victim_value`, `attacker_value`.

    Raises:
      InputError: bad input.
    """
    return perform("evaluate", accepted(Settings, game=game, **settings))


class Prepared(NamedTuple):
    oracle: Oracle
    adversarial: Adversarial
    matches: int


def prepare(settings: Settings) -> Prepared:
    check_budget(settings.budget)
    question = ask(settings, settings.victim)
    matches = EPISODES if settings.episodes is None else settings.episodes
    if settings.oracle == "exact" or (settings.oracle is None and question.finite is not None):
        oracle: Oracle = exact_oracle(question)
        refuse_unread(settings, "sampled")
    else:
        slots(matches)
        oracle = LearnedOracle(question)
    return Prepared(oracle, oracle.adversarial(for_each(settings.attacker, question.threat.attackers)), matches)


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    return prepared.oracle.plan(0, prepared.matches)


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    oracle, adversarial, matches = prepared
    seed = spawned(settings.seed, 0)
    measured = oracle.evaluate(adversarial, settings.budget, matches, run, "matches", seed)
    scale = oracle.scale([measured])
    result = EvaluateResult(
        **who(settings, oracle.question, run),
        **fields(oracle.rates(measured, scale)),
        oracle=EXACT if oracle.name == EXACT else SAMPLED,
        attacker=_names(settings.attacker),
        budget=settings.budget,
        scale=scale,
        wall_time_s=time.monotonic() - begun,
    )
    write(result, run.folder / "evaluate.json")
    return plain(result)


def _names(given: Any) -> str:
    """What the user called the attackers' policies."""
    return ", ".join(map(describe, given)) if isinstance(given, tuple) else describe(given)


def text(result: dict[str, Any]) -> str:
    found: EvaluateResult = read({k: v for k, v in result.items() if k != "run"})
    what = f"attacker at budget {found.budget!r}"
    if found.oracle == EXACT:
        assert found.victim_value is not None and found.attacker_value is not None
        theirs, ours = number(found.victim_value, ".6f"), number(found.attacker_value, ".6f")
        values = f"the victim's value {theirs}, the attacker's {ours}"
        return f"{what}, exact: {chances(found)}\n{values}\n{result['run']}"
    lines = [f"{what}: {outcomes(found)}"]
    if found.episodes:
        lines.append(f"{found.episodes} matches of {found.mean_length:.0f} steps on average{left_out(found)}")
    else:
        lines.append(f"no match was valid{left_out(found)}")
    return "\n".join([*lines, result["run"]])


def outcomes(rates: Rates) -> str:
    """Win, draw and loss of the attacker for people, or the victim's return in a game without winners."""
    if rates.win is None:
        return f"the game has no winners; the victim's return is {mean(rates)}"
    return ", ".join(f"{key} {percent(rates, key)}" for key in ("win", "draw", "loss"))


def chances(rates: Rates) -> str:
    """Exact chances of the attacker for people, or the reason why there are none."""
    if rates.win is None:
        return "matches have no end, and no winner"
    return ", ".join(f"{key} {number(getattr(rates, key), '.2%')}" for key in ("win", "draw", "loss"))


def left_out(rates: Rates) -> str:
    return f"; {rates.invalid} invalid matches left out" if rates.invalid else ""
