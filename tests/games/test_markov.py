from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.exact.markov import value
from sparring.exact.markov_game import MarkovGame, random_game, save
from sparring.games.markov import SampledMarkovGame, make
from sparring.testing import check_game
from sparring.types import Box, Discrete, FunctionalGame, Spaces


@pytest.fixture(scope="module")
def game() -> MarkovGame:
    return random_game(2, S=3, A=3, B=2, gamma=0.8, k=2).game


@pytest.mark.slow
def test_sampled_game_agrees_with_its_exact_value(game: MarkovGame) -> None:
    """The mean discounted return of many matches, within four standard errors, and every single step is possible."""
    sampled = SampledMarkovGame(game, num_games=4096)
    assert isinstance(sampled, FunctionalGame)
    one_hot = Box((3,), 0.0, 1.0)
    assert sampled.spaces == {"victim": Spaces(one_hot, Discrete(3)), "attacker": Spaces(one_hot, Discrete(2))}
    rng = np.random.default_rng(0)
    nu, alpha = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(2), 3)
    init_key, key = jax.random.split(jax.random.key(0))
    state, views = sampled.init(init_key)
    returns = np.zeros(4096)
    step_once = jax.jit(sampled.step)
    for t in range(sampled.horizon):
        np.testing.assert_array_equal(views["victim"].observation, np.eye(3)[np.asarray(state.state)])
        at = np.asarray(state.state)
        a = (rng.random((4096, 1)) > nu.cumsum(axis=1)[at, :-1]).sum(axis=1)
        b = (rng.random((4096, 1)) > alpha.cumsum(axis=1)[at, :-1]).sum(axis=1)
        state, step = step_once(state, {"victim": a, "attacker": b}, jax.random.fold_in(key, t))
        np.testing.assert_array_equal(step.reward["victim"], game.r[at, a, b].astype(np.float32))
        np.testing.assert_array_equal(step.reward["attacker"], -step.reward["victim"])
        following = np.asarray(step.final_view["victim"].observation).argmax(axis=1)
        assert (game.P[at, a, b, following] > 0).all()
        assert (step.truncated == (t + 1 == sampled.horizon)).all()
        assert not (step.terminated | step.invalid).any()
        assert step.outcome is None  # the game has no winners
        returns += game.gamma**t * np.asarray(step.reward["victim"])
        views = step.view
    exact = game.rho @ value(game, nu, alpha)
    missing = game.gamma**sampled.horizon * game.r.max() / (1 - game.gamma)
    assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(4096) + missing


def test_keeps_the_promises_of_a_game(game: MarkovGame) -> None:
    check_game(lambda num_games: SampledMarkovGame(game, num_games))


def test_matches_start_anew_after_the_horizon() -> None:
    """From state 0 to state 1, for good; every match starts in state 0."""
    chain = MarkovGame(np.array([[[[0.0, 1.0]]], [[[0.0, 1.0]]]]), np.zeros((2, 1, 1)), np.array([1.0, 0.0]), 0.5)
    game = SampledMarkovGame(chain, num_games=2, horizon=2)
    state, _ = game.init(jax.random.key(0))
    actions = {agent: np.zeros(2, int) for agent in game.agents}
    seen = []
    for t in range(4):
        state, step = game.step(state, actions, jax.random.key(t))
        now, last = (views["victim"].observation[0, 1] for views in (step.view, step.final_view))
        seen.append((int(step.truncated[0]), now, last))
    assert seen == [(0, 1, 1), (1, 0, 1), (0, 1, 1), (1, 0, 1)]


@given(st.floats(0, 0.9999))
def test_default_horizon_is_the_first_that_suffices(gamma: float) -> None:
    game = MarkovGame(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1)), np.ones(1), gamma)
    horizon = SampledMarkovGame(game).horizon
    assert gamma**horizon < 1e-3 * (1 + 1e-9)
    assert horizon == 1 or gamma ** (horizon - 1) >= 1e-3 * (1 - 1e-9)


def test_make(game: MarkovGame, tmp_path: Path) -> None:
    path = tmp_path / "game.npz"
    save(path, game)
    made = make(str(path), num_games=2, threads=0, options={})
    assert (made.id, made.num_games, made.horizon) == (f"markov/{path}", 2, 31)  # 0.8^31 = 0.00099
    made = make(str(path), num_games=2, threads=0, options={"horizon": "7"})
    assert (made.id, made.horizon) == (f"markov/{path},horizon=7", 7)
    with pytest.raises(InputError, match="did you mean horizon"):
        make(str(path), 2, 0, {"horizont": "7"})
    with pytest.raises(InputError, match="a whole number, got '-1'"):
        make(str(path), 2, 0, {"horizon": "-1"})
    with pytest.raises(InputError, match="horizon=STEPS of at most 1,000,000,000, got 1,000,000,000,000"):
        make(str(path), 2, 0, {"horizon": str(10**12)})
    assert SampledMarkovGame(replace(game, gamma=1 - 1e-14)).horizon == 10**9  # what int32 can count
    with pytest.raises(InputError, match="at least 1 step"):
        make(str(path), 2, 0, {"horizon": "0"})
    with pytest.raises(InputError, match="at least 1 match"):
        make(str(path), 0, 0, {})
