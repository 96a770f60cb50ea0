"""When the others hardly gain any more: on scores that are made up, and in the loop."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from sparring.checkpoint import flatten, unflatten
from sparring.errors import InputError
from sparring.games.matrix import ROCK_PAPER_SCISSORS, MatrixGame
from sparring.learners.a2c import A2CConfig, a2c
from sparring.play.plateau import Plateau, ended_returns, fresh, trend, waited
from sparring.training import Method, Opponents, Reward, Side, TrainState, initial_state, saved_part, train, with_saved

WAITS = Plateau(window=6, most=20)


def test_matches_return_what_they_earned_in_earlier_rounds_too() -> None:
    reward = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [64.0, 128.0, 256.0]])
    ended = np.array([[False, True, False], [True, False, False], [False, True, False]])
    invalid = np.array([[False, False, False], [False, False, True], [False, False, False]])
    returns, slots, carried = ended_returns(reward, ended, invalid, np.array([100.0, 200.0, 300.0]))
    # Slot 0 ends with 100 + 1 + 8, slot 1 with 200 + 2 and then with 16 + 128; slot 2 breaks, and counts for nothing.
    np.testing.assert_array_equal(returns, [202.0, 109.0, 144.0])
    np.testing.assert_array_equal(slots, [1, 0, 1])
    np.testing.assert_array_equal(carried, [64.0, 0.0, 256.0])


def test_the_trend_is_welchs() -> None:
    """Halves 1, 3 and 6, 10: means 2 and 8, variances 2 and 8, error sqrt(2/2 + 8/2)."""
    found = trend(np.array([1.0, np.nan, 3.0, 6.0, 10.0]))
    assert found is not None and found.gain == 6.0 and found.error == pytest.approx(np.sqrt(5))
    assert trend(np.array([1.0, np.nan, 2.0, 3.0])) is None


def rounds_until_due(scores: np.ndarray, waits: Plateau = WAITS) -> tuple[int, dict]:
    """How many rounds a side waits whose score in each round is given: one match that ends with that reward."""
    seen = fresh(waits, 1)
    always, never = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    for number, score in enumerate(scores, 1):
        seen, due, evidence = waited(seen, waits, np.full((1, 1), score), always, never)
        if due:
            assert int(seen.rounds) == 0 and np.isnan(seen.scores).all()
            return number, evidence
    raise AssertionError("never due")


def test_who_gains_nothing_is_not_waited_for() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    number, evidence = rounds_until_due(noise)
    # The first 6: two halves of three.
    older, newer = -noise[:3], -noise[3:6]
    error = np.sqrt(older.var(ddof=1) / 3 + newer.var(ddof=1) / 3)
    assert number == evidence["waited"] == 6
    assert evidence["gain"] == pytest.approx(newer.mean() - older.mean())
    assert evidence["error"] == pytest.approx(error) and evidence["gain"] <= 2 * error


def test_who_gains_is_waited_for_until_it_stops_or_for_the_most() -> None:
    noise = 0.1 * np.random.default_rng(1).normal(size=100)
    falling = -np.arange(100.0)
    number, evidence = rounds_until_due(falling + noise)
    assert number == 20 and evidence["gain"] > 2 * evidence["error"]
    # It falls for eight rounds, and then stays: half of the rounds lie behind the fall after 18 at the latest.
    number, evidence = rounds_until_due(np.maximum(falling, -8.0) + noise, Plateau(6, 60))
    assert 9 < number <= 20 and evidence["gain"] <= 2 * evidence["error"]
    # What makes the others worse is no gain of theirs.
    assert rounds_until_due(-falling + noise)[0] == 6


def test_rounds_in_which_no_match_ends_say_nothing() -> None:
    seen, never = fresh(WAITS, 2), np.zeros((3, 2), bool)
    for _ in range(19):
        seen, due, _ = waited(seen, WAITS, np.ones((3, 2)), never, never)
        assert not due
    assert np.isnan(seen.scores).all() and seen.carried.tolist() == [57.0, 57.0]
    seen, due, evidence = waited(seen, WAITS, np.ones((3, 2)), never, never)
    assert due and evidence == {"waited": 20} and seen.carried.tolist() == [60.0, 60.0]


def rps() -> tuple[MatrixGame, Method]:
    """Both sides learn; the row player waits for the column player."""
    learner = a2c(A2CConfig(learning_rate=0.05, hidden=(8,)))
    sides = {
        "row": Side(learner, Reward({"row": 1.0}), ("row",), waits=Plateau(4, 9)),
        "col": Side(learner, Reward({"row": -1.0}), ("col",)),
    }

    def play(opponents: Opponents) -> dict:
        return dict(opponents.current)

    return MatrixGame(ROCK_PAPER_SCISSORS, 16), Method(sides, play, 2)


def test_in_the_loop_the_waiting_side_learns_in_the_rounds_that_it_tells_of() -> None:
    game, method = rps()
    states = list(islice(train(game, method, 3), 60))
    learned = [state.round for state in states if "row" in state.metrics]
    told = [int(states[number - 1].metrics["row"]["waited"]) for number in learned]
    assert told == np.diff([0, *learned]).tolist()
    assert min(told) >= 4 and max(told) <= 9 and len(set(told)) > 1
    assert all("col" in state.metrics for state in states)
    for number in learned:
        found = states[number - 1].metrics["row"]
        assert found["gain"] <= 2 * found["error"] or found["waited"] == 9


def test_resumed_while_it_waits_it_goes_on_as_an_uninterrupted_one() -> None:
    game, method = rps()
    states = list(islice(train(game, method, 3), 20))
    saved = next(state for state in states[6:] if int(state.waiting["row"].rounds) == 2)
    arrays = flatten(saved_part(saved, game))
    restored: TrainState = with_saved(
        initial_state(game, method, 3), game, method, {"row": 0, "col": 0}, lambda tree: unflatten(tree, arrays)
    )
    for expected, state in zip(states[saved.round :], train(game, method, 3, restored), strict=False):
        wanted, got = flatten(saved_part(expected, game)), flatten(saved_part(state, game))
        assert wanted.keys() == got.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_what_nobody_can_wait_for_is_refused() -> None:
    with pytest.raises(InputError, match="plateau: expected 4 <= window <= most rounds, got 3 and 9"):
        Plateau(3, 9)
    with pytest.raises(InputError, match="has no clock"):
        Side(a2c(A2CConfig()), Reward(), ("row",), every=2, waits=Plateau())
