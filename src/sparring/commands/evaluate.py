"""`sparring evaluate`: who wins, by enumeration or by matches with intervals; of several, each against each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sparring.answers import CrossPlayResult, EvaluateResult
from sparring.commands import cross_play
from sparring.commands.common import accepted, mean, percent, perform, spawned, who
from sparring.commands.cross_play import Victim, attackers_of, victims_of
from sparring.console import number, payoff
from sparring.oracles.base import Oracle
from sparring.oracles.exact import exact_oracle, refuse_unread
from sparring.oracles.learned import LearnedOracle, slots
from sparring.oracles.options import Controlled, OptionalInt, PolicyPerAgent
from sparring.oracles.seating import Question, ask
from sparring.records import EXACT, SAMPLED, Rates, fields
from sparring.results import plain, read, write
from sparring.runs import Run
from sparring.types import check_budget

EPISODES = 400


@dataclass(frozen=True)
class Settings(Controlled):
    """Win, draw and loss of an attacker against a victim under a budget: exact, or each with its 95% interval.

    Several victims or attackers meet each other: the result is a matrix, with a heat map and a page.

    Example: sparring evaluate robosumo/ant-vs-ant --victim builtin:ant --attacker zero --budget 0.3
    """

    victim: PolicyPerAgent
    """The policy that is attacked: zero, random, builtin:NAME, native:FILE, robosumo-zoo:FILE.npy, run:DIR, ... Several
    are the rows of a matrix."""
    attacker: PolicyPerAgent
    """What the attacker's agent does when it is controlled. Several are the columns of a matrix. Of a team: one policy
    for all agents, or one for each, in the order of --attackers (by default that of the game's agents); A+B names the
    agents of one team where several teams are columns."""
    budget: float = 1.0
    """Attack budget epsilon in [0, 1]: the probability of control (Eq. 3.2)."""
    oracle: Literal["exact", "sampled"] | None = None
    """exact: probabilities by enumeration, the default in exact games. sampled: rates over matches."""
    episodes: OptionalInt = None
    """Complete matches of each pair, where they are sampled; by default 400."""


def evaluate(game: Any, **settings: Any) -> dict[str, Any]:
    """Evaluate an attacker: `sparring evaluate` as a function.

    Args:
      game: a game's id, a game, or a function of `num_games` that makes one.
      **settings: the fields of `Settings`; a policy may also be a `Policy`, a function `(observation, rng) -> action`,
        a table, or one of these for each agent. A list of names as `victim` or `attacker` is a matrix's.

    Returns:
      The JSON result (`answers.EvaluateResult`): `win`, `draw`, `loss` (the attacker's), `victim_return`, ..., each
      with `_ci`; exact values are `victim_value`, `attacker_value`. With several victims or attackers
      (`answers.CrossPlayResult`): `rows`, one for each victim, with `clean` and `cells`, one for each attacker.

    Raises:
      InputError: bad input.
    """
    return perform("evaluate", accepted(Settings, game=game, **settings))


class Prepared(NamedTuple):
    victims: tuple[Victim, ...]
    matches: int
    crossed: bool  # there are several victims or attackers


def prepare(settings: Settings) -> Prepared:
    check_budget(settings.budget)
    matches = EPISODES if settings.episodes is None else settings.episodes
    victims: list[Victim] = []
    first = None
    for source in victims_of(settings.victim):
        question = ask(settings, source, first)
        oracle, first = _oracle(settings, question, matches), question.first
        columns = attackers_of(settings.attacker, question.threat.attackers)
        attackers = tuple((column.name, oracle.adversarial(column.source)) for column in columns)
        victims.append(Victim(question.names.victim, oracle, attackers))
    return Prepared(tuple(victims), matches, len(victims) > 1 or len(victims[0].attackers) > 1)


def _oracle(settings: Settings, question: Question, matches: int) -> Oracle:
    if settings.oracle == "exact" or (settings.oracle is None and question.finite is not None):
        oracle = exact_oracle(question)
        refuse_unread(settings, "sampled")
        return oracle
    slots(matches)
    return LearnedOracle(question)


def plan(settings: Settings, prepared: Prepared) -> dict[str, Any]:
    del settings
    victims, matches, crossed = prepared
    cells = len(victims) * (1 + len(victims[0].attackers)) if crossed else 1
    planned = victims[0].oracle.plan(0, cells * matches)
    return {**planned, "cells": cells} if crossed else planned


def execute(settings: Settings, prepared: Prepared, run: Run) -> dict[str, Any]:
    begun = time.monotonic()
    victims, matches, crossed = prepared
    oracle = victims[0].oracle
    asked = {**who(settings, oracle.question, run), "oracle": EXACT if oracle.name == EXACT else SAMPLED}
    if crossed:
        rows = cross_play.play(victims, settings.budget, matches, run, settings.seed)
        asked["victim"] = ", ".join(victim.name for victim in victims)
        seconds = time.monotonic() - begun
        record = CrossPlayResult(**asked, budget=settings.budget, rows=rows, wall_time_s=seconds)
        return plain(cross_play.write_pages(record, run.folder))
    attacker, adversarial = victims[0].attackers[0]
    measured = oracle.evaluate(adversarial, settings.budget, matches, run, "matches", spawned(settings.seed, 0))
    scale = oracle.scale([measured])
    result = EvaluateResult(
        **asked,
        **fields(oracle.rates(measured, scale)),
        attacker=attacker,
        budget=settings.budget,
        scale=scale,
        wall_time_s=time.monotonic() - begun,
    )
    write(result, run.folder / "evaluate.json")
    return plain(result)


def text(result: dict[str, Any]) -> str:
    found: EvaluateResult | CrossPlayResult = read({k: v for k, v in result.items() if k != "run"})
    if isinstance(found, CrossPlayResult):
        return cross_play.text(found)
    what = f"attacker at budget {found.budget!r}"
    if found.oracle == EXACT:
        assert found.victim_value is not None and found.attacker_value is not None
        unit = max(abs(found.victim_value), abs(found.attacker_value))
        theirs, ours = payoff(found.victim_value, unit), payoff(found.attacker_value, unit)
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
