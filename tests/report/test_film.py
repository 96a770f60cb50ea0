"""Films: the right match is chosen, and replayed exactly."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.errors import NoPicture
from sparring.games import make
from sparring.games.hosted import hosted
from sparring.loaders import load
from sparring.report.film import _won, film_win
from sparring.types import AgentID, Policy, VectorGame

SEED = np.random.SeedSequence(0)


def setup(game_id: str, first: str, second: str, num_games: int = 8) -> tuple[VectorGame, dict[AgentID, Policy]]:
    game = hosted(make(game_id, num_games))
    return game, {agent: load(name, game, agent) for agent, name in zip(game.agents, (first, second), strict=True)}


def test_the_median_win_of_a_watchable_length_is_chosen() -> None:
    ended = np.zeros((400, 6), bool)
    wins = np.zeros((400, 6), bool)
    for match, (step, who) in enumerate([(9, 1), (29, 1), (49, 0), (99, 1), (199, 1), (350, 1)]):
        ended[step, match], wins[step, match] = True, who == 1
    # Of matches 1, 3 and 4; 0 is too short, 5 too long, 2 was lost.
    assert _won(wins, ended) == (3, 100)
    with pytest.raises(NoPicture, match="won none"):
        _won(wins[:30, :1] & False, ended[:30, :1])


@pytest.mark.slow
def test_a_film_shows_the_match_up_to_its_end() -> None:
    game, policies = setup("robosumo/ant-vs-ant,integrator=euler", "builtin:ant", "random")
    try:
        data, suffix = film_win(game, policies, "ant0", SEED)
    except NoPicture as reason:
        pytest.skip(str(reason))
    assert suffix in (".mp4", ".webp") and 2_000 < len(data) < 4 * 2**20
    again, _ = film_win(*setup("robosumo/ant-vs-ant,integrator=euler", "builtin:ant", "random"), "ant0", SEED)
    assert again == data


def test_a_game_that_cannot_draw_says_so() -> None:
    game, policies = setup("matrix/rps", "first", "first")
    with pytest.raises(NoPicture, match="cannot draw"):
        film_win(game, policies, "row", SEED)


@pytest.mark.slow
def test_a_game_within_jax_that_can_draw_is_filmed() -> None:
    game = make("discs/duel", 8)
    policies = {
        agent: load(name, game, agent) for agent, name in zip(game.agents, ("zero", "builtin:disc"), strict=True)
    }
    data, suffix = film_win(game, policies, "disc1", SEED)
    assert suffix in (".mp4", ".webp") and 1_000 < len(data) < 2**20
