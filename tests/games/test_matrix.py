from __future__ import annotations

import jax
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.games.matrix import MATCHING_PENNIES, ROCK_PAPER_SCISSORS, MatrixGame, make, names
from sparring.testing import check_game
from sparring.types import Discrete, FunctionalGame, Spaces


def test_every_pair_of_actions_of_rock_paper_scissors() -> None:
    game = make("rps", num_games=9, threads=0, options={})
    assert isinstance(game, FunctionalGame)
    assert (game.id, game.num_games) == ("matrix/rps", 9)
    assert game.spaces == {"row": Spaces(1, Discrete(3)), "col": Spaces(1, Discrete(3))}
    state, observation = game.init(jax.random.key(0))
    np.testing.assert_array_equal(observation["row"], np.ones((9, 1)))
    row, column = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    _, step = jax.jit(game.step)(state, {"row": row, "col": column}, jax.random.key(1))
    np.testing.assert_array_equal(step.reward["row"], ROCK_PAPER_SCISSORS.ravel())
    np.testing.assert_array_equal(step.reward["col"], -ROCK_PAPER_SCISSORS.ravel())
    # Equal actions draw; the payoff's sign decides else.
    assert step.winner.tolist() == [-1, 0, 1, 1, -1, 0, 0, 1, -1]
    assert step.winner.dtype == np.int8
    assert step.terminated.all()
    assert not (step.truncated | step.invalid).any()
    assert step.observation["col"].shape == step.final_observation["col"].shape == (9, 1)


def test_rectangular_payoffs() -> None:
    game = MatrixGame(np.array([[1.0, 2.0, 3.0]]))
    assert game.spaces == {"row": Spaces(1, Discrete(1)), "col": Spaces(1, Discrete(3))}
    state, _ = game.init(jax.random.key(0))
    _, step = game.step(state, {"row": np.array([0]), "col": np.array([2])}, jax.random.key(1))
    assert step.reward["row"].tolist() == [3]


@pytest.mark.parametrize("name", names())
def test_keeps_the_promises_of_a_game(name: str) -> None:
    check_game(lambda num_games: make(name, num_games, threads=0, options={}))


@pytest.mark.parametrize("payoffs", [ROCK_PAPER_SCISSORS, MATCHING_PENNIES])
def test_the_games_are_fair(payoffs: np.ndarray) -> None:
    uniform = np.full(len(payoffs), 1 / len(payoffs))
    np.testing.assert_array_equal(uniform @ payoffs, 0)
    np.testing.assert_array_equal(payoffs @ uniform, 0)


@pytest.mark.parametrize("payoffs", [np.zeros(3), np.zeros((0, 2)), np.array([[np.inf, 0.0]])])
def test_refuses_payoffs(payoffs: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected finite payoffs"):
        MatrixGame(payoffs)


def test_refuses_names_options_and_numbers() -> None:
    assert names() == ("rps", "matching-pennies")
    with pytest.raises(InputError, match="did you mean matching-pennies"):
        make("matching-penny", 1, 0, {})
    with pytest.raises(InputError, match="no options"):
        make("rps", 1, 0, {"rounds": "3"})
    with pytest.raises(InputError, match="at least 1 match"):
        make("rps", 0, 0, {})
