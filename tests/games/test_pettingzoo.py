"""Environments of PettingZoo: against PettingZoo's own loops, and the odd ones that it allows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

import sparring
from sparring.errors import InputError, NoPicture
from sparring.games import make
from sparring.games.export import make_parallel_env
from sparring.games.hosted import hosted
from sparring.games.pettingzoo import EXAMPLES, PettingZooGame
from sparring.testing import check_game
from sparring.types import Box, Dict, Discrete, View

pytest.importorskip("mpe2", reason="these tests play games of mpe2, which is not installed")

PUSH, SPREAD = "pettingzoo/mpe2.simple_push_v3", "pettingzoo/mpe2.simple_spread_v3"
FOUR = "pettingzoo/pettingzoo.classic.connect_four_v3"


def seeds_of(seed: int, match: int, count: int) -> list[int]:
    """The seeds of a match and of those that follow it."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(match + 1)[match])
    return [int(rng.integers(2**31)) for _ in range(count)]


class Coming(ParallelEnv[str, np.ndarray, int]):
    """ "b" comes at the second step, "a" leaves after the third, and "b" is alone until the fifth ends the match.

    Everybody sees the step and is paid it; "b" says in its info that it may only do 0 and 2.
    """

    def __init__(self, render_mode: str | None = None, cut: bool = False) -> None:
        del render_mode
        self.possible_agents, self.cut = ["a", "b"], cut
        self.metadata = {"name": "coming"}

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 100, (2,), np.float64)

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(3, start=5)

    def _seen(self) -> dict[str, np.ndarray]:
        return {agent: np.array([self.time, self.done[agent]], np.float64) for agent in self.agents}

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        self.agents, self.time, self.done = ["a"], 0, {"a": 0, "b": 0}
        return self._seen(), {}

    def step(self, actions: Mapping[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        assert set(actions) == set(self.agents)
        self.time += 1
        self.done |= actions
        if self.time == 2:
            self.agents = ["a", "b"]
        seen = self._seen()
        ended = {"a": self.time == 3, "b": self.time == 5}
        over = {agent: ended[agent] for agent in seen}
        rewards = dict.fromkeys(seen, float(self.time))
        self.agents = [agent for agent in self.agents if not ended[agent]]
        terminated, truncated = (over, dict.fromkeys(over, False))[:: -1 if self.cut else 1]
        return seen, rewards, terminated, truncated, {}


def pettingzoo(name: str, matches: int) -> PettingZooGame:
    game = make(name, matches)
    assert isinstance(game, PettingZooGame)
    return game


def moves(view: View) -> list[bool]:
    return np.asarray(view.moves).tolist()


def legal(view: View) -> list[list[bool]]:
    return np.asarray(view.legal).tolist()


def play(game: PettingZooGame, action: int, steps: int) -> list[Any]:
    return [game.step({a: np.full(game.num_games, action) for a in game.agents}) for _ in range(steps)]


@pytest.mark.parametrize("cut", [False, True])
def test_agents_come_late_and_drop_out(cut: bool) -> None:
    game = PettingZooGame("coming", lambda **mode: Coming(cut=cut, **mode), 2)
    first = game.reset(0)
    assert game.spaces["a"].observation == Box((2,), 0.0, 100.0) and game.spaces["a"].action == Discrete(3)
    assert [moves(first[a]) for a in "ab"] == [[True, True], [False, False]]
    steps = play(game, 2, 5)
    assert [moves(step.view["a"])[0] for step in steps] == [True, True, False, False, True]
    assert [moves(step.view["b"])[0] for step in steps] == [False, True, True, True, False]
    assert [step.reward["a"][0] for step in steps] == [1, 2, 3, 0, 0]
    assert [step.reward["b"][0] for step in steps] == [0, 2, 3, 4, 5]
    # The choice 2 is called 7 there.
    assert steps[1].view["a"].observation.tolist() == [[2, 7]] * 2
    assert steps[3].view["a"].observation.tolist() == [[0, 0]] * 2  # it is away
    assert steps[4].final_view["b"].observation.tolist() == [[5, 7]] * 2
    assert steps[4].view["a"].observation.tolist() == [[0, 0]] * 2  # the next match
    assert [bool(step.terminated[0]) for step in steps] == [False] * 4 + [not cut]
    assert [bool(step.truncated[0]) for step in steps] == [False] * 4 + [cut]


def test_a_parallel_environment_is_played_as_by_hand() -> None:
    """PettingZoo's own loop with the same seeds and actions: the same observations, rewards and ends, bit for bit."""
    from mpe2 import simple_spread_v3

    game = pettingzoo(f"{SPREAD},max_cycles=7,continuous_actions=True", 3)
    views, rng = game.reset(4), np.random.default_rng(1)
    envs = [simple_spread_v3.parallel_env(max_cycles=7, continuous_actions=True) for _ in range(3)]
    seeds = [seeds_of(4, b, 4) for b in range(3)]
    theirs = [env.reset(seed=seeds[b].pop(0))[0] for b, env in enumerate(envs)]
    for _ in range(20):
        for agent in game.agents:
            for b in range(3):
                np.testing.assert_array_equal(views[agent].observation[b], theirs[b][agent])
        actions = {agent: rng.uniform(-0.2, 1.2, (3, 5)).astype(np.float32) for agent in game.agents}
        step = game.step(actions)
        for b, env in enumerate(envs):
            clipped = {agent: np.clip(actions[agent][b], 0, 1) for agent in env.agents}
            seen, rewards, terminated, truncated, _ = env.step(clipped)
            for agent in game.agents:
                np.testing.assert_array_equal(step.final_view[agent].observation[b], seen[agent])
                assert step.reward[agent][b] == np.float32(rewards[agent])
            assert bool(step.truncated[b]) == all(truncated.values()) and not any(terminated.values())
            theirs[b] = env.reset(seed=seeds[b].pop(0))[0] if not env.agents else seen
        views = step.view


def test_a_game_of_turns_is_played_as_by_hand() -> None:
    """PettingZoo's loop over `last()`: the same masks, observations and totals of every match."""
    game = pettingzoo(FOUR, 1)
    connect_four_v3 = importlib.import_module("pettingzoo.classic.connect_four_v3")  # which warns when it is new
    assert isinstance(game.spaces["player_0"].observation, Dict)
    views, env, rng, matches = game.reset(9), connect_four_v3.env(), np.random.default_rng(3), 0
    seeds = seeds_of(9, 0, 6)
    env.reset(seed=seeds.pop(0))
    ours = dict.fromkeys(game.agents, 0.0)
    theirs = dict(ours)
    while matches < 5:
        agent = env.agent_selection
        seen, _, over, cut, _ = env.last()
        assert not over and not cut
        assert [moves(views[a])[0] for a in game.agents] == [a == agent for a in game.agents]
        np.testing.assert_array_equal(views[agent].observation["observation"][0], seen["observation"])
        np.testing.assert_array_equal(legal(views[agent])[0], seen["action_mask"])
        action = int(rng.choice(np.flatnonzero(seen["action_mask"])))
        env.step(action)
        for a in game.agents:
            theirs[a] += env.rewards[a]
        while env.agents and (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            env.step(None)
        step = game.step({a: np.array([action if a == agent else 0]) for a in game.agents})
        for a in game.agents:
            ours[a] += float(step.reward[a][0])
        assert ours == theirs and bool(step.terminated[0]) == (not env.agents)
        if not env.agents:
            matches += 1
            env.reset(seed=seeds.pop(0))
        views = step.view
    assert sum(map(abs, ours.values())) > 0


class Masked(AECEnv[Any, int, int]):
    """Two agents of turns, named by numbers; the mask is in the info. Three turns each."""

    def __init__(self, render_mode: str | None = None, wrong: int = 3) -> None:
        del render_mode
        super().__init__()
        self.possible_agents: list[Any] = [0, 1]
        self.metadata, self.wrong = {"name": "masked"}, wrong

    def observation_space(self, agent: Any) -> Any:
        return spaces.Discrete(7)

    def action_space(self, agent: Any) -> Any:
        return spaces.Discrete(3)

    def observe(self, agent: Any) -> int:
        return self.time

    def reset(self, seed: int | None = None, options: dict | None = None) -> None:
        self.agents, self.time = list(self.possible_agents), 0
        self.agent_selection = self.agents[0]
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict(self.rewards)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {"action_mask": np.arange(self.wrong) != 1} for agent in self.agents}

    def step(self, action: Any) -> None:
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        assert action != 1
        self.time += 1
        self.rewards = {0: float(action), 1: -float(action)}
        self.agent_selection = self.agents[self.time % 2]
        if self.time == 6:
            self.terminations = dict.fromkeys(self.agents, True)


def test_masks_in_infos_and_agents_that_are_numbers() -> None:
    game = PettingZooGame("masked", Masked, 2)
    assert game.agents == ("0", "1")
    views = game.reset(0)
    assert legal(views["0"]) == [[True, False, True]] * 2
    assert legal(views["1"]) == [[True] * 3] * 2  # it does not move
    check_game(lambda num_games: PettingZooGame("masked", Masked, num_games))
    steps = play(game, 2, 6)
    assert [step.reward["0"][0] for step in steps] == [2] * 6
    assert bool(steps[-1].terminated[0]) and steps[-1].final_view["1"].observation.tolist() == [6, 6]
    with pytest.raises(InputError, match=r"action_mask of 0: expected 3 entries, got \[4\]"):
        PettingZooGame("masked", lambda **mode: Masked(wrong=4, **mode)).reset(0)


@pytest.mark.parametrize("name", [PUSH, FOUR, "pettingzoo/pettingzoo.classic.rps_v2"])
def test_environments_keep_the_promises_of_a_game(name: str) -> None:
    check_game(lambda num_games: make(name, num_games))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(f"pettingzoo/{name}" for name in EXAMPLES), "pettingzoo/mpe2.simple_crypto_v3"])
def test_more_environments_keep_the_promises_of_a_game(name: str) -> None:
    check_game(lambda num_games: make(name, num_games))


def test_a_game_of_ours_comes_back_from_pettingzoo() -> None:
    """What is exported and taken back is shown, and pays, as the game itself does."""
    game = PettingZooGame("back", lambda **mode: make_parallel_env("matrix/rps", **mode), 2)
    check_game(lambda num_games: PettingZooGame("back", lambda **mode: make_parallel_env("matrix/rps"), num_games))
    own = make("matrix/rps", 2)
    assert game.agents == own.agents and {a: s.action for a, s in game.spaces.items()} == {
        a: s.action for a, s in own.spaces.items()
    }
    game.reset(0)
    rock, paper = np.zeros(2, int), np.ones(2, int)
    actions = {game.agents[0]: rock, game.agents[1]: paper}
    step, right = game.step(actions), hosted(own)
    right.reset(0)
    for agent, reward in right.step(actions).reward.items():
        np.testing.assert_array_equal(step.reward[agent], reward)
        assert abs(reward).all()
    assert step.terminated.all()


def test_a_match_is_drawn() -> None:
    drawn = pettingzoo(PUSH, 1).with_pictures()
    drawn.reset(0)
    picture = drawn.frame(0)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 0
    with pytest.raises(NoPicture, match="has no render mode rgb_array"):
        PettingZooGame("masked", Masked).with_pictures()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mpe2.simple_posh_v3", "needs the Python package mpe2|No module|pip install"),
        ("no_such_package.game", "needs the Python package no_such_package: pip install no_such_package"),
        ("json", "expected a module with parallel_env or env, and json has neither"),
        ("../mpe2", "expected a module, such as pettingzoo/mpe2.simple_push_v3"),
        ("mpe2.simple_push_v3,max_cycle=3", "max_cycle"),
        ("mpe2.simple_push_v3,render_mode=human", "render_mode: leave it out"),
        ("pettingzoo.mpe.simple_push_v3", "MPE2"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(f"pettingzoo/{name}")
    assert "\n" not in str(caught.value)


def test_what_is_no_environment_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"expected an environment of PettingZoo, parallel or of turns, got builtins.dict"
    ):
        PettingZooGame("mine", lambda **mode: {})
    with pytest.raises(InputError, match="call reset before step"):
        PettingZooGame("masked", Masked).step({})
    game = pettingzoo(PUSH, 2)
    game.reset(0)
    with pytest.raises(InputError, match=r"actions of adversary_0: expected shape \[2\], got \[3\]"):
        game.step({"adversary_0": np.zeros(3, int), "agent_0": np.zeros(2, int)})
    for method in (game.get_state, lambda: game.set_state({})):
        with pytest.raises(InputError, match="cannot be s"):
            method()


def test_an_environment_that_fails_names_its_line() -> None:
    class Failing(Masked):
        def step(self, action: Any) -> None:
            raise KeyError("gone")

    game = PettingZooGame("mine", Failing)
    game.reset(0)
    with pytest.raises(InputError, match=r"mine: it raised KeyError: 'gone' \(.*test_pettingzoo.py:\d+\)"):
        game.step({"0": np.zeros(1, int), "1": np.zeros(1, int)})


@pytest.mark.slow
def test_a_victim_in_a_users_world_is_audited(tmp_path: Any) -> None:
    result = sparring.audit(
        PUSH,
        victim="random",
        benign="random",
        victim_seat="agent_0",
        budgets=(1.0,),
        start="scratch",
        steps=8192,
        episodes=40,
        out=str(tmp_path / "run"),
    )
    assert result["budgets"][0]["victim_return"] < 0 and (tmp_path / "run" / "report.html").exists()
