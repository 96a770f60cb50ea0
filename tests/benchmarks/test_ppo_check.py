# Benchmarks are programs beside the package: the tests put their folder on the path themselves.
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import ppo_check
import ppo_check_page


def test_welch_is_the_interval_for_unequal_variances() -> None:
    """By hand: the variances of the means are 7/9 and 57/16, which makes 4.15581 degrees of freedom.

    Their t quantile is 2.735871; the standard error is the root of 7/9 + 57/16, and the difference 7/3 - 17/4.
    """
    half = 2.735871 * (7 / 9 + 57 / 16) ** 0.5
    expected = [-23 / 12, -23 / 12 - half, -23 / 12 + half]
    assert ppo_check.welch([1.0, 2.0, 4.0], [0.0, 5.0, 3.0, 9.0]) == pytest.approx(expected, rel=1e-6)


def test_welch_of_constants_is_a_point() -> None:
    assert ppo_check.welch([500.0] * 3, [498.0] * 3) == [2.0, 2.0, 2.0]


def test_mean_interval_is_students() -> None:
    # t quantile with 2 degrees of freedom 4.302653; standard deviation 1.
    assert ppo_check.mean_interval([1.0, 2.0, 3.0]) == pytest.approx([2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5])


def test_returns_are_summed_across_rounds() -> None:
    reward = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    ended = np.array([[False, True], [True, False], [False, False]])
    running, returns = ppo_check.episode_returns(np.array([100.0, 0.0]), reward, ended)
    # 100 + 1 + 2 of the first environment ends at the second step, 10 of the second one at the first.
    assert returns == [10.0, 103.0]
    assert running.tolist() == [3.0, 50.0]


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ([1.0, -1.0, 3.0], "no difference is seen (+1.0 [-1.0, +3.0] holds 0)"),
        ([2.0, 1.0, 3.0], "sparring is better (+2.0 [+1.0, +3.0])"),
        ([-2.0, -3.0, -1.0], "sparring is WORSE (-2.0 [-3.0, -1.0])"),
    ],
)
def test_the_verdict_follows_the_interval(difference: list[float], said: str) -> None:
    assert ppo_check_page.verdict(difference) == said


def test_a_figure_is_the_same_bytes_for_the_same_results() -> None:
    curve = [[100, 1.0], [200, 2.0]]
    runs = {name: [{"seed": 0, "curve": curve}] for name in (ppo_check.OURS, ppo_check.THEIRS)}
    results = {"tasks": {"CartPole-v1": {"runs": runs}}}
    assert ppo_check_page.figure(results) == ppo_check_page.figure(results)
    assert ppo_check_page.table(results).splitlines()[1] == "CartPole-v1,sparring,0,100,1.0"
