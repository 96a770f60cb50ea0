from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from sparring.errors import InputError
from sparring.games.export import make_parallel_env
from sparring.games.robosumo.settings import SumoSettings
from sparring.games.robosumo.sumo import RoboSumo

GAME = "robosumo/ant-vs-bug,integrator=euler"


def _game() -> RoboSumo:
    return RoboSumo(("ant", "bug"), threads=1, settings=SumoSettings(integrator="euler"))


@pytest.mark.slow
@pytest.mark.parametrize("game_id", [GAME, "robosumo/spider-vs-ant", "matrix/rps", "openspiel/kuhn_poker"])
def test_pettingzoos_own_tests_pass(game_id: str) -> None:
    parallel_api_test(make_parallel_env(game_id), num_cycles=200)
    parallel_seed_test(lambda: make_parallel_env(game_id), num_cycles=100)


def test_a_match_is_that_of_the_game_and_ends_once() -> None:
    env, game = make_parallel_env(GAME), _game()
    observation, infos = env.reset(seed=5)
    assert set(infos) == set(game.agents) == set(env.agents)
    # The environment draws a seed for every match from the one it is given.
    first = game.reset(int(np.random.default_rng(5).integers(2**63)))
    rng = np.random.default_rng(0)
    steps = 0
    while env.agents:
        for agent in game.agents:
            assert observation[agent].tolist() == first[agent].observation[0].tolist()
            assert env.observation_space(agent).contains(observation[agent])
        actions = {a: rng.uniform(-1, 1, env.action_space(a).shape).astype(np.float32) for a in game.agents}
        observation, rewards, terminations, truncations, infos = env.step(actions)
        step = game.step({a: x[None] for a, x in actions.items()})
        first = step.final_view
        steps += 1
        assert step.outcome is not None
        for agent in game.agents:
            assert rewards[agent] == step.reward[agent][0]
            assert terminations[agent] == step.terminated[0]
            assert not truncations[agent]
            assert infos[agent]["won"] == (step.outcome[agent][0] == 1)
            assert infos[agent]["ctrl"] == step.info["ctrl"][agent][0]
            assert not infos[agent]["invalid"]
    assert 10 < steps < 501
    assert all(terminations.values())
    # The last observation is that of the end, not of the next match.
    assert observation["ant0"].tolist() == step.final_view["ant0"].observation[0].tolist()
    assert observation["ant0"].tolist() != step.view["ant0"].observation[0].tolist()
    with pytest.raises(InputError, match="the match is over; call reset"):
        env.step(actions)


def test_resets_without_a_seed_go_on_from_the_last_one() -> None:
    env, other = make_parallel_env(GAME), make_parallel_env(GAME)
    starts = [env.reset(seed=1)[0]["ant0"], env.reset()[0]["ant0"], env.reset()[0]["ant0"]]
    again = [other.reset(seed=1)[0]["ant0"], other.reset()[0]["ant0"], other.reset()[0]["ant0"]]
    assert np.array(starts).tolist() == np.array(again).tolist()
    assert len({s.tobytes() for s in starts}) == 3


def test_a_time_limit_truncates(monkeypatch: pytest.MonkeyPatch) -> None:
    game = _game()
    game.reset(0)
    late = game.get_state() | {"steps": np.array([500])}
    module: Any = SimpleNamespace(factory=lambda num_games: game)
    monkeypatch.setitem(sys.modules, "late", module)
    env = make_parallel_env("late:factory")
    env.reset(seed=0)
    game.set_state(late)
    _, _, terminations, truncations, infos = env.step({"ant0": np.zeros(8), "bug1": np.zeros(12)})
    assert truncations == {"ant0": True, "bug1": True}
    assert terminations == {"ant0": False, "bug1": False}
    assert not infos["ant0"]["invalid"]
    assert env.agents == []


def test_broken_physics_truncates_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    game = _game()
    module: Any = SimpleNamespace(factory=lambda num_games: game)
    monkeypatch.setitem(sys.modules, "broken", module)
    env = make_parallel_env("broken:factory")
    env.reset(seed=0)
    state = game.get_state()
    state["physics"][0, 8] = np.nan
    game.set_state(state)
    observation, rewards, terminations, truncations, infos = env.step({"ant0": np.zeros(8), "bug1": np.zeros(12)})
    assert truncations == {"ant0": True, "bug1": True}
    assert terminations == {"ant0": False, "bug1": False}
    assert infos["ant0"]["invalid"]
    assert rewards == {"ant0": 0, "bug1": 0}
    assert np.isfinite(observation["bug1"]).all()


def test_bad_calls_are_refused() -> None:
    with pytest.raises(InputError, match="expected render_mode None or"):
        make_parallel_env(GAME, render_mode="human")
    env = make_parallel_env(GAME)
    env.reset(seed=0)
    with pytest.raises(InputError, match="no action for bug1"):
        env.step({"ant0": np.zeros(8)})
    with pytest.raises(InputError, match="NaN or infinite"):
        env.step({"ant0": np.zeros(8), "bug1": np.full(12, np.nan)})
    with pytest.raises(InputError, match="expected actions of size 8"):
        env.step({"ant0": np.zeros(3), "bug1": np.zeros(12)})
    assert env.render() is None


def test_a_game_of_turns_tells_moves_and_masks() -> None:
    """Leduc: two legal actions of three at first. The mask is what Gymnasium's own `sample` takes."""
    env = make_parallel_env("openspiel/leduc_poker")
    observation, infos = env.reset(seed=0)
    assert [infos[agent]["moves"] for agent in env.agents] == [True, False]
    mask = infos["player0"]["action_mask"]
    assert mask.tolist() == [1, 1, 0] and env.action_space("player0").sample(mask) in (0, 1)
    assert observation["player0"].sum() == 1 and not observation["player1"].any()
    with pytest.raises(InputError, match=r"leduc_poker: player0: action 2 is not legal in match 0: see View.legal"):
        env.step({"player0": 2, "player1": 0})
    # What player 1 answers now is not looked at, and the refused step was not taken.
    _, _, _, _, infos = env.step({"player0": 1, "player1": 2})
    assert [infos[agent]["moves"] for agent in env.agents] == [False, True]
    assert infos["player1"]["action_mask"].tolist() == [1, 1, 1]


def test_who_does_not_play_any_more_cannot_act() -> None:
    env = make_parallel_env("matrix/rps")
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"matrix/rps: an action for judge, which does not play \(any more\)"):
        env.step({"row": 0, "col": 0, "judge": 0})
    _, rewards, _, _, infos = env.step({"row": 0, "col": 1})
    assert (rewards, env.agents) == ({"row": 1.0, "col": -1.0}, [])
    assert (infos["row"]["won"], infos["col"]["won"]) == (True, False)
    with pytest.raises(InputError, match="the match is over; call reset first"):
        env.step({"row": 0, "col": 0})
    env.reset()
    with pytest.raises(InputError, match="matrix/rps: row: action 3 is out of range, expected 0 to 2"):
        env.step({"row": 3, "col": 0})


def test_a_game_without_winners_tells_no_win() -> None:
    env = make_parallel_env("gymnasium/CartPole-v1")
    observation, _ = env.reset(seed=0)
    assert env.observation_space("player").contains(observation["player"])
    _, _, _, _, infos = env.step({"player": 1})
    assert infos["player"]["won"] is False
