"""What `results/ppo-check` claims follows from the returns that it holds."""

# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from sparring.runs import read_json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "ppo-check"
sys.path.insert(0, str(ROOT / "benchmarks"))

import ppo_check
import ppo_check_page

RESULTS = read_json(FOLDER / "ppo-check.json")
TASKS: dict[str, Any] = RESULTS["tasks"]


def finals(task: str) -> list[list[float]]:
    """Final returns per seed, ours and theirs."""
    runs = TASKS[task]["runs"]
    return [[run["final_return"] for run in runs[name]] for name in (ppo_check.OURS, ppo_check.THEIRS)]


def test_every_task_was_run_with_its_settings_of_today() -> None:
    assert {s.task: [*vars(s).values()][1:-1] for s in ppo_check.TASKS} == {
        task: [*result["settings"].values()][1:-1] for task, result in TASKS.items()
    }


@pytest.mark.parametrize("task", TASKS)
def test_ours_is_not_seen_to_be_worse(task: str) -> None:
    ours, theirs = finals(task)
    interval = scipy.stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    assert TASKS[task]["difference"] == pytest.approx([np.mean(ours) - np.mean(theirs), interval.low, interval.high])
    assert interval.high >= 0


@pytest.mark.parametrize("task", TASKS)
def test_both_have_the_same_seeds_and_steps(task: str) -> None:
    runs = TASKS[task]["runs"]
    seeds = [[run["seed"] for run in runs[name]] for name in (ppo_check.OURS, ppo_check.THEIRS)]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) >= 3
    steps = {run["curve"][-1][0] for name in runs for run in runs[name]}
    assert min(steps) >= TASKS[task]["settings"]["steps"]
    assert len(steps) == 1


@pytest.mark.parametrize(("task", "solved"), [("CartPole-v1", 150.0), ("Pendulum-v1", -300.0)])
def test_both_learned(task: str, solved: float) -> None:
    # Untrained policies get about 20 and -1200; agreement of two learners that learn nothing would say nothing.
    assert min(map(np.mean, finals(task))) > solved


def test_the_page_and_the_table_are_of_these_results() -> None:
    assert (FOLDER / "README.md").read_text() == ppo_check_page.page(RESULTS)
    assert (FOLDER / "ppo-check.csv").read_text() == ppo_check_page.table(RESULTS)
