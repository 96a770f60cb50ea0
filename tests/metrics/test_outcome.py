from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.metrics.intervals import mean_interval, wilson
from sparring.metrics.outcome import rates, sample, summary
from sparring.types import Outcomes


def outcomes(by_agent: Mapping[str, list[int]] | None, returns: Mapping[str, list[float]], **changes: Any) -> Outcomes:
    n = len(next(iter(returns.values())))
    found = Outcomes(
        outcome=None if by_agent is None else {agent: np.array(o, np.int8) for agent, o in by_agent.items()},
        length=np.full(n, 7, np.int32),
        invalid=np.zeros(n, bool),
        returns={agent: np.array(values) for agent, values in returns.items()},
        decisions={agent: np.full(n, 7, np.int32) for agent in returns},
    )
    return found._replace(**changes)


def test_summary_by_hand() -> None:
    played = outcomes(
        {"ant0": [-1, 1, -1, 0, -1, 0], "ant1": [1, -1, 1, 0, 1, 0]},
        {"ant0": [-1.0, 5, -1, -3, -1, 777], "ant1": [2.0, -2, 2, -3, 2, 777]},
        length=np.array([10, 20, 30, 40, 50, 999], np.int32),
        invalid=np.array([False] * 5 + [True]),
    )
    result = summary(played, ("ant1",), ("ant0",))
    # Five valid matches: the attacker wins three, one is drawn, one is lost. The victim loses three.
    assert [result[key] for key in ("win", "draw", "loss", "fail")] == [3 / 5, 1 / 5, 1 / 5, 3 / 5]
    assert result["win_ci"] == result["fail_ci"] == wilson(3, 5)
    assert result["draw_ci"] == result["loss_ci"] == wilson(1, 5)
    assert (result["episodes"], result["invalid"], result["mean_length"]) == (5, 1, 30)
    assert result["victim_return"] == pytest.approx((-1 + 5 - 1 - 3 - 1) / 5)
    assert result["attacker_return"] == pytest.approx((2 - 2 + 2 - 3 + 2) / 5)
    # The least and the largest return of the valid matches are the range.
    assert result["victim_return_ci"] == pytest.approx(mean_interval(np.array([-1.0, 5, -1, -3, -1]), -3, 5))
    json.dumps(result, allow_nan=False)


def test_the_known_range_gives_equal_returns_an_interval() -> None:
    played = sample(outcomes(None, {"a": [1.0] * 30, "b": [2.0] * 30}), ("a",), ("b",))
    alone, known = rates(played), rates(played, 0.0, 10.0)
    assert (alone["victim_return"], alone["victim_return_ci"]) == (2.0, None)
    assert known["victim_return_ci"] == pytest.approx(mean_interval(np.full(30, 2.0), 0, 10))


def test_a_game_without_winners_has_no_outcome_keys() -> None:
    result = summary(outcomes(None, {"a": [1.0, 2.0], "b": [2.0, 0.0]}), ("a",), ("b",))
    for key in ("win", "draw", "loss", "fail"):
        assert (result[key], result[f"{key}_ci"]) == (None, None)
    assert (result["victim_return"], result["episodes"]) == (1.0, 2)


def test_teams_win_together_and_victims_fail_together() -> None:
    # Two attackers, two victims, and a bystander. One row per match:
    # an attacker wins alone; both sides have a winner; a bystander wins; all attackers lose; only one attacker loses.
    played = outcomes(
        {
            "a": [1, 1, -1, -1, -1],
            "b": [-1, -1, -1, -1, 0],
            "v": [-1, -1, -1, 1, 0],
            "w": [-1, 1, -1, -1, 0],
            "x": [-1, -1, 1, -1, 0],
        },
        {agent: [1.0, 2, 3, 4, 5] for agent in "abvwx"},
    )
    flags = sample(played, ("a", "b"), ("v", "w")).flags()
    assert flags is not None
    assert flags["win"].tolist() == [True, False, False, False, False]
    assert flags["loss"].tolist() == [False, False, True, True, False]
    assert flags["draw"].tolist() == [False, True, False, False, True]
    assert flags["fail"].tolist() == [True, False, True, False, False]
    found = summary(played, ("a", "b"), ("v", "w"))
    assert (found["victim_return"], found["attacker_return"]) == (6.0, 6.0)  # of both members: twice the mean of 3


def test_no_valid_match_has_no_means() -> None:
    played = outcomes({"a": [0], "b": [0]}, {"a": [1.0], "b": [-1.0]}, invalid=np.array([True]))
    result = summary(played, ("a",), ("b",))
    assert (result["episodes"], result["invalid"]) == (0, 1)
    assert all(value is None for key, value in result.items() if key not in ("episodes", "invalid"))


def test_an_unknown_agent_is_named() -> None:
    with pytest.raises(InputError, match="c is no agent of this game: expected one of a, b"):
        sample(outcomes(None, {"a": [1.0], "b": [-1.0]}), ("c",), ("b",))
