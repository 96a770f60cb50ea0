"""An audit with made-up numbers, complete enough for every part of a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sparring.metrics.outcome import wilson


def made_up_rates(wins: int, draws: int, n: int = 400) -> dict[str, Any]:
    counts = {"win": wins, "draw": draws, "loss": n - wins - draws}
    result: dict[str, Any] = {key: count / n for key, count in counts.items()}
    result |= {f"{key}_ci": list(wilson(count, n)) for key, count in counts.items()}
    result |= {"episodes": n, "invalid": 0, "mean_length": 212.5, "victim_return": -10.0, "attacker_return": 12.0}
    return result | {"victim_return_ci": [-12.0, -8.0], "attacker_return_ci": [9.0, 15.0]}


def made_up_result(budget: float, wins: int) -> dict[str, Any]:
    return made_up_rates(wins, 20) | {
        "budget": budget,
        "attacker": f"run:attack-{budget:g}",
        "attack_steps": 2_000_000,
        "oracle": "learned (lower bound)",
        "shift": 0.4 * budget,
        "shift_noise_floor": 0.05,
        "baselines": {"benign": made_up_rates(184, 30), "zero": made_up_rates(20, 60), "random": made_up_rates(40, 50)},
    }


@pytest.fixture
def rates() -> Callable[..., dict[str, Any]]:
    return made_up_rates


@pytest.fixture
def result() -> Callable[..., dict[str, Any]]:
    return made_up_result


@pytest.fixture
def audit() -> dict[str, Any]:
    points = [[step * 1e5, 0.4 + 0.02 * step, 0.35 + 0.02 * step, 0.45 + 0.02 * step] for step in range(10)]
    return {
        "game": "robosumo/ant-vs-ant",
        "victim": "builtin:ant",
        "victim_seat": 0,
        "benign": "builtin:ant",
        "seed": 3,
        "command": "sparring audit robosumo/ant-vs-ant --seed 3",
        "versions": {"sparring": "0.1.0", "python": "3.11"},
        "settings": {"episodes": 400, "learner": {"name": "ppo", "clip": 0.2}},
        "budgets": [made_up_result(0.5, 205), made_up_result(1.0, 252), made_up_result(0.25, 190)],
        "curves": [{"budget": 0.5, "seed": 0, "points": points}, {"budget": 1.0, "seed": 0, "points": points}],
        "wall_time_s": 1800.0,
        "not_tested": ["Attackers with memory were not tried."],
        "no_clip": "no OpenGL here",
    }


def made_up_chances(victim_value: float) -> dict[str, Any]:
    result: dict[str, Any] = {"episodes": 0, "invalid": 0, "mean_decisions": 2.5, "scale": 4.0}
    values = {"win": 0.6, "draw": 0.0, "loss": 0.4, "fail": 0.6}
    values |= {"victim_value": victim_value, "attacker_value": -victim_value}
    return result | values | {f"{key}_ci": [value, value] for key, value in values.items()}


def made_up_exact_result(budget: float, expl: float, robust_expl: float) -> dict[str, Any]:
    return made_up_chances(-expl) | {
        "budget": budget,
        "expl": expl,
        "robust_expl": robust_expl,
        "gap": expl - robust_expl,
        "verified": True,
        "attacker": f"attacker-budget-{budget:g}.json",
        "oracle": "exact",
        "shift": 0.2 * budget,
        "baselines": {"benign": made_up_chances(0.125), "first": made_up_chances(0.125 + budget)},
    }


@pytest.fixture
def exact_result() -> Callable[..., dict[str, Any]]:
    return made_up_exact_result


@pytest.fixture
def exact_audit(audit: dict[str, Any]) -> dict[str, Any]:
    """An audit of a finite game, with made-up numbers."""
    del audit["no_clip"], audit["curves"]
    return audit | {
        "game": "openspiel/kuhn_poker",
        "victim": "uniform",
        "benign": "uniform",
        "oracle": "exact",
        "attackers": [1],
        "budgets": [made_up_exact_result(*numbers) for numbers in ((0.5, 0.14, -0.14), (1.0, 0.415, 0.055))],
    }
