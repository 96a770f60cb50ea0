"""Audits for tests: made from matches, or from exact chances, by the functions that oracles use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparring.answers import AuditResult
from sparring.judgement import damage_of, exact_damage, exact_rates, judged, rates_of, scale_of
from sparring.metrics.outcome import Sample
from sparring.records import BENIGN, EXACT, LEARNED, BudgetResult, Curve, Goal, Interval, Measure, Scale, fields

AGENTS = ("ant0", "ant1")


def matches(wins: int, draws: int = 0, n: int = 400, invalid: int = 0) -> Sample:
    """n valid matches of two agents, so many won and drawn by the attacker, and invalid ones that nobody won.

    The victim's return is -1, 0 or 1.
    """
    won = np.array([1] * wins + [0] * draws + [-1] * (n - wins - draws) + [0] * invalid, np.int8)
    # Shuffled: bounded means are bet on in the order of the matches.
    won[:n] = np.random.default_rng(wins).permutation(won[:n])
    returns = -won.astype(float)
    length, broken = np.full(n + invalid, 200), np.arange(n + invalid) >= n
    by_agent = {AGENTS[0]: returns, AGENTS[1]: -returns}
    return Sample(won, -won, length, broken, -returns, returns, by_agent)


def returns(values: Any, invalid: int = 0) -> Sample:
    """Matches of a game without winners in which the victim has these returns."""
    values = np.concatenate([np.asarray(values, np.float64), np.zeros(invalid)])
    broken = np.arange(len(values)) >= len(values) - invalid
    by_agent = {AGENTS[0]: values, AGENTS[1]: -values}
    return Sample(None, None, np.full(len(values), 200), broken, -values, values, by_agent)


def curve(budget: float, last: float = 0.6) -> Curve:
    """Thirty windows of 40 matches, that rise from .4 to `last`."""
    rates = np.linspace(0.4, last, 30)
    points = tuple((1e5 * i, float(r), float(r) - 0.1, float(r) + 0.1) for i, r in enumerate(rates))
    return Curve(budget=budget, seed=0, points=points, matches=(40,) * 30)


def learned(
    attacks: Mapping[float, Sample],
    benign: Sample,
    plain: Mapping[str, Sample] | None = None,
    /,
    *,
    known: Interval | None = None,
    fail_above: float | None = None,
    fail_measure: Measure | None = None,
    **changes: Any,
) -> AuditResult:
    """An audit by learned attacks: the matches of the attack at each budget, and of the opponents beside it."""
    plain = {} if plain is None else plain
    scale, count = scale_of([*attacks.values(), benign, *plain.values()], known), len(attacks)
    baselines = {name: rates_of(sample, scale) for name, sample in {BENIGN: benign, **plain}.items()}
    results = tuple(
        BudgetResult(
            **fields(rates_of(sample, scale)),
            budget=budget,
            attacker=f"attacker-budget-{budget:g}.safetensors",
            attack_steps=2_000_000,
            damage=damage_of(sample, benign, scale, count),
            baselines=baselines,
            versus={name: damage_of(sample, other, scale, count * len(plain)) for name, other in plain.items()},
            shift=0.4 * budget,
            shift_noise_floor=0.05,
        )
        for budget, sample in attacks.items()
    )
    values: dict[str, Any] = {
        "game": "robosumo/ant-vs-ant",
        "agents": AGENTS,
        "victim": "builtin:ant",
        "victim_seat": 0,
        "victims": (0,),
        "attackers": (1,),
        "benign": "builtin:ant",
        "oracle": LEARNED,
        "seed": 3,
        "command": "sparring audit robosumo/ant-vs-ant --seed 3",
        "versions": {"sparring": "0.1.0", "python": "3.11"},
        "settings": {"episodes": 400, "learner": {"name": "ppo", "clip": 0.2}},
        "wall_time_s": 1800.0,
        "reward": Goal(weights={"ant0": -1.0}),
        "scale": scale,
        "budgets": results,
        "curves": tuple(curve(budget) for budget in attacks),
        "no_clip": "no OpenGL here",
    }
    return judged(AuditResult(**{**values, **changes}), fail_above, fail_measure)


def three_budgets(**changes: Any) -> AuditResult:
    """An attack that fails at budget .25 and .5, and wins at 1; benign 184 of 400."""
    plain = {"zero": matches(10, 30, 200), "random": matches(20, 25, 200)}
    attacks = {0.5: matches(205, 20), 1.0: matches(252, 20), 0.25: matches(190, 20)}
    return learned(attacks, matches(184, 30), plain, **changes)


def exact(
    values: Mapping[float, float],
    benign: float = 0.125,
    *,
    unit: float = 1.0,
    fail_above: float | None = None,
    fail_measure: Measure | None = None,
    **changes: Any,
) -> AuditResult:
    """An exact audit: the victim's worst-case value at each budget, and against the benign opponent."""

    def chances(value: float, win: float = 0.6) -> Any:
        return exact_rates(
            win=win,
            draw=0.0,
            loss=1 - win,
            fail=win,
            victim_value=value,
            attacker_value=-value,
            mean_decisions=2.5,
            discounted=False,
        )

    alone = chances(benign)
    results = tuple(
        BudgetResult(
            **fields(chances(value, 0.7)),
            budget=budget,
            attacker=f"attacker-budget-{budget:g}.json",
            damage=exact_damage(chances(value, 0.7), alone),
            baselines={BENIGN: alone, "first": chances(benign - 0.1 * budget)},
            expl=-value,
            robust_expl=-value - 0.25 * unit,
            gap=0.25 * unit,
            verified=True,
            shift=0.2 * budget,
            shift_measure="total variation",
        )
        for budget, value in values.items()
    )
    record: dict[str, Any] = {
        "game": "openspiel/kuhn_poker",
        "agents": ("player0", "player1"),
        "victim": "uniform",
        "victim_seat": 0,
        "victims": (0,),
        "attackers": (1,),
        "benign": "uniform",
        "oracle": EXACT,
        "reward": Goal(weights={"player0": -1.0}),
        "scale": Scale(low=-2 * unit, high=2 * unit, range_from="game", rounding=2e-13 * unit),
        "budgets": results,
    }
    return judged(AuditResult(**{**record, **changes}), fail_above, fail_measure)
