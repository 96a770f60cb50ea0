from __future__ import annotations

import jax
import numpy as np

from sparring.exact.markov_game import random_game
from sparring.games.hosted import Hosted, hosted
from sparring.games.markov import SampledMarkovGame
from sparring.types import Step, VectorGame

MADE = random_game(seed=0, S=4, A=2, B=3, gamma=0.5, k=3)


def new() -> Hosted:
    return Hosted(SampledMarkovGame(MADE.game, num_games=5, horizon=4))


def actions(t: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(t)
    return {"victim": rng.integers(2, size=5), "attacker": rng.integers(3, size=5)}


def same(a: Step, b: Step) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_a_hosted_game_is_a_vector_game() -> None:
    game = new()
    assert isinstance(game, VectorGame) and not isinstance(game.game, VectorGame)
    assert hosted(game) is game
    wrapped = hosted(game.game)
    assert isinstance(wrapped, Hosted) and wrapped.game is game.game
    assert (game.id, game.agents, game.spaces, game.num_games) == (
        game.game.id, ("victim", "attacker"), game.game.spaces, 5,
    )  # fmt: skip


def test_it_plays_the_game() -> None:
    game = new()
    seen = game.reset(0)
    for t in range(8):
        state = seen["victim"].observation.argmax(1)
        a = actions(t)
        step = game.step(a)
        assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(step))
        np.testing.assert_allclose(step.reward["victim"], MADE.game.r[state, a["victim"], a["attacker"]], rtol=1e-6)
        following = step.final_view["victim"].observation.argmax(1)
        assert (MADE.game.P[state, a["victim"], a["attacker"], following] > 0).all()
        np.testing.assert_array_equal(step.truncated, np.full(5, t % 4 == 3))
        seen = step.view


def test_a_seed_decides_everything() -> None:
    games = [new(), new(), new()]
    first = [game.reset(seed) for game, seed in zip(games, (1, 1, 2), strict=True)]
    np.testing.assert_array_equal(first[0]["victim"].observation, first[1]["victim"].observation)
    steps = [[game.step(actions(t)) for t in range(6)] for game in games]
    assert all(same(a, b) for a, b in zip(steps[0], steps[1], strict=True))
    assert not all(same(a, b) for a, b in zip(steps[0], steps[2], strict=True))


def test_a_new_game_goes_on_from_a_saved_state() -> None:
    game = new()
    game.reset(3)
    for t in range(3):
        last = game.step(actions(t))
    saved = game.get_state()
    assert all(isinstance(x, np.ndarray) for x in saved.values())
    expected = [game.step(actions(t)) for t in range(3, 9)]
    fresh = new()
    views = fresh.set_state(saved)
    np.testing.assert_array_equal(views["attacker"].observation, last.view["attacker"].observation)
    assert all(same(fresh.step(actions(t)), step) for t, step in enumerate(expected, 3))


def test_what_it_returns_is_the_callers() -> None:
    game = new()
    seen = game.reset(0)
    seen["victim"].observation[:] = 7
    step = game.step(actions(0))
    step.view["victim"].observation[:] = 7
    saved = game.get_state()
    shown = [x for name, x in saved.items() if "observation" in name]
    assert shown and max(x.max() for x in shown) == 1
    game.close()
