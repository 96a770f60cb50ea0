"""Simulated audits in which the attack has no effect (`experiments/null_audits.py`): few may claim a finding."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[2] / "experiments" / "null_audits.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("null_audits", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
@pytest.mark.parametrize(("matches", "budgets"), [(40, 3), (96, 3), (96, 10), (400, 1)])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_wins_without_an_effect(matches: int, budgets: int, p: float, program: ModuleType) -> None:
    rng = np.random.default_rng([matches, budgets, int(100 * p)])
    found = program.shares([program.wins(rng, matches, budgets, p) for _ in range(1000)])
    assert found["exit_1"] == found["finding"] <= 0.05


@pytest.mark.long
@pytest.mark.parametrize(("matches", "budgets"), [(40, 3), (96, 1), (96, 10)])
@pytest.mark.parametrize("name", ["1 with probability .01, else 0", "1 or -1", "log-normal"])
def test_returns_without_an_effect(matches: int, budgets: int, name: str, program: ModuleType) -> None:
    rng, draw = np.random.default_rng([matches, budgets]), program.RETURNS[name]
    found = program.shares([program.values(rng, matches, budgets, draw, draw) for _ in range(1000)])
    assert found["exit_1"] == found["finding"] <= 0.05


def test_an_effect_of_twenty_points_is_found(program: ModuleType) -> None:
    # Newcombe's interval for 400 matches at .3 and .5, three budgets: half a width of .084 below +.2, so nearly always.
    rng = np.random.default_rng(0)
    found = program.shares([program.wins(rng, 400, 3, 0.3, 0.2) for _ in range(40)])
    assert found["finding"] >= 0.95 and found["exit_1"] >= 0.95
    by_return = program.shares([program.values(rng, 400, 3, program.coin(0.7), program.coin(0.5)) for _ in range(20)])
    assert by_return["finding"] >= 0.9
