from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from sparring.errors import InputError, NoPicture
from sparring.games.export import make_parallel_env
from sparring.games.gymnasium import AGENT, GymnasiumGame, make, names
from sparring.play.rollout import rollout
from sparring.policies import RandomPolicy
from sparring.report.film import Casting, film
from sparring.testing import check_game
from sparring.types import Box, Dict, Discrete, MultiDiscrete, Spaces, VectorGame

VECTOR = spaces.Box(-np.inf, np.inf, (2,), np.float32)


class Countdown(gymnasium.Env):
    """Ends at step 3, which is also the time limit; observes the step and what was last done."""

    def __init__(self, observation_space: spaces.Space = VECTOR, action_space: spaces.Space | None = None) -> None:
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2, start=5)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.time = 0
        return np.array([0, 0], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.time += 1
        return np.array([self.time, action], np.float32), 0.5, self.time == 3, self.time == 3, {}


class Rich(gymnasium.Env):
    """Observes a dict of an image, a die that starts at 1 and a tuple; is paid for both parts of its action."""

    observation_space = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (2, 2), np.uint8),
            "die": spaces.Discrete(6, start=1),
            "pair": spaces.Tuple([spaces.Box(np.array([0, -1.0]), np.array([1, 1.0]), dtype=np.float64)] * 2),
        }
    )
    action_space = spaces.MultiDiscrete([3, 2], start=[0, 10])

    def _observe(self) -> dict[str, Any]:
        half = np.array([0.5, -0.5])
        image = np.full((2, 2), self.time, np.uint8)
        return {"image": image, "die": self.np_random.integers(1, 7), "pair": (half, -half * [-1, 1])}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.time = 0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        assert self.action_space.contains(np.asarray(action))
        self.time += 1
        return self._observe(), float(action @ [1, 10]), self.time == 4, False, {}


@pytest.fixture(scope="module", autouse=True)
def tasks() -> Iterator[None]:
    made = {"Countdown-v0": Countdown, "Rich-v0": Rich}
    for name, task in made.items():
        gymnasium.register(name, lambda task=task, **_: task())
    yield
    for name in made:
        del gymnasium.registry[name]


def test_matches_restart_in_the_same_step_and_keep_their_last_observation() -> None:
    game = GymnasiumGame("Countdown-v0", 2)
    assert isinstance(game, VectorGame)
    assert game.spaces == {AGENT: Spaces(Box((2,)), Discrete(2))}
    game.reset(0)
    steps = [game.step({AGENT: np.array([0, 1])}) for _ in range(4)]
    assert [s.terminated.tolist() for s in steps] == [[False] * 2, [False] * 2, [True] * 2, [False] * 2]
    assert not any(s.truncated.any() or s.invalid.any() for s in steps)  # the end counts, not the limit
    seen = [[s.view[AGENT].observation[1].tolist() for s in steps]]
    seen.append([s.final_view[AGENT].observation[1].tolist() for s in steps])
    assert seen == [[[1, 6], [2, 6], [0, 0], [1, 6]], [[1, 6], [2, 6], [3, 6], [1, 6]]]
    assert [s.reward[AGENT].tolist() for s in steps] == [[0.5, 0.5]] * 4
    assert steps[2].outcome is None  # nobody wins


def test_dicts_images_tuples_and_several_choices() -> None:
    game = GymnasiumGame("Rich-v0", 3)
    pair = Box((2,), (0.0, -1.0), 1.0)  # one number where all bounds are equal
    seen = Dict(
        (
            ("die", Discrete(6)),
            ("image", Box((2, 2), 0.0, 255.0, "uint8")),
            ("pair", Dict((("0", pair), ("1", pair)))),
        )
    )
    assert game.spaces == {AGENT: Spaces(seen, MultiDiscrete((3, 2)))}
    first = game.reset(0)[AGENT].observation
    assert first["image"].dtype == np.uint8 and first["pair"]["0"].dtype == np.float32
    np.testing.assert_array_equal(first["pair"]["1"], [[0.5, 0.5]] * 3)
    for t in range(1, 6):
        step = game.step({AGENT: np.array([[0, 0], [2, 0], [1, 1]])})
        # The task's own second choice is called 10 or 11: 0 + 100, 2 + 100 and 1 + 110.
        np.testing.assert_array_equal(step.reward[AGENT], [100, 102, 111])
        np.testing.assert_array_equal(step.terminated, np.full(3, t == 4))
        now, last = step.view[AGENT].observation, step.final_view[AGENT].observation
        assert (last["image"] == (t if t <= 4 else t - 4)).all() and (now["image"] == t % 4).all()
        assert now["die"].min() >= 0 and now["die"].max() <= 5


@pytest.mark.parametrize("name", ["Countdown-v0", "Rich-v0"])
def test_keeps_the_promises_of_a_game_that_cannot_be_saved(name: str) -> None:
    check_game(lambda num_games: GymnasiumGame(name, num_games))


def test_such_a_task_is_played() -> None:
    game = GymnasiumGame("Rich-v0", 2)
    policy = RandomPolicy(MultiDiscrete((3, 2)))
    trajectory, _ = rollout(game, {AGENT: policy}, 5, np.random.default_rng(0), record=(AGENT,), watch=(AGENT,))
    e = trajectory.agents[AGENT]
    assert e.action.shape == (5, 2, 2) and e.observation["image"].shape == (5, 2, 2, 2)
    assert trajectory.seen[AGENT]["pair"]["0"].shape == (5, 2, 2) and trajectory.outcome is None


def test_time_limits_are_truncations() -> None:
    game = GymnasiumGame("Pendulum-v1", 2)
    game.reset(0)
    for _ in range(199):
        step = game.step({AGENT: np.zeros((2, 1))})
        assert not step.terminated.any()
        assert not step.truncated.any()
    step = game.step({AGENT: np.zeros((2, 1))})
    assert step.truncated.all()
    assert not step.terminated.any()
    assert (step.view[AGENT].observation != step.final_view[AGENT].observation).any()


def test_agrees_with_the_task_itself() -> None:
    """One match of Gymnasium's own, from the same state, with the clipped action."""
    game = GymnasiumGame("Pendulum-v1")
    # cos and sin of the angle, and the angular velocity up to 8, each with bounds of its own.
    seen = Box((3,), (-1.0, -1.0, -8.0), (1.0, 1.0, 8.0))
    assert game.spaces == {AGENT: Spaces(seen, Box((1,), -2.0, 2.0))}
    start = game.reset(0)[AGENT].observation[0]
    task = gymnasium.make("Pendulum-v1")
    observation, _ = task.reset(seed=int(np.random.SeedSequence(0).spawn(1)[0].generate_state(1)[0]))
    np.testing.assert_array_equal(start, observation)
    for action in (0.5, 7.0, -7.0):
        ours = game.step({AGENT: np.array([[action]])})
        observation, reward, *_ = task.step(np.clip(np.array([action], np.float32), -2, 2))
        np.testing.assert_array_equal(ours.view[AGENT].observation[0], observation)
        assert ours.reward[AGENT][0] == np.float32(float(reward))
    task.close()


@pytest.mark.parametrize("name", names())
def test_same_seed_same_bits(name: str) -> None:
    def play(seed: int) -> bytes:
        game = make(name, num_games=3, threads=0, options={})
        rng = np.random.default_rng(1)
        played = [game.reset(seed)[AGENT].observation]
        space = game.spaces[AGENT].action
        for _ in range(30):
            action = rng.integers(space.n, size=3) if isinstance(space, Discrete) else rng.normal(size=(3, space.size))
            step = game.step({AGENT: action})
            played.append(step.view[AGENT].observation)
            assert played[-1].dtype == step.reward[AGENT].dtype == np.float32
        game.close()
        return b"".join(array.tobytes() for array in played)

    assert play(7) == play(7) != play(8)


def test_matches_differ_from_each_other() -> None:
    observation = GymnasiumGame("CartPole-v1", 3).reset(0)[AGENT].observation
    assert len(np.unique(observation, axis=0)) == 3


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Text(3), spaces.Discrete(2), "observations: expected a Box, Discrete, MultiDiscrete, .*, got Text"),
        (VECTOR, spaces.Text(3), "actions: expected a Box, Discrete, MultiDiscrete"),
        (VECTOR, spaces.Dict({"a": spaces.Discrete(2)}), "actions: expected a Box, Discrete or MultiDiscrete space"),
    ],
)
def test_refuses_other_spaces(observation: spaces.Space, action: spaces.Space, message: str) -> None:
    gymnasium.register("Other-v0", lambda **_: Countdown(observation, action))
    try:
        with pytest.raises(InputError, match=message) as caught:
            GymnasiumGame("Other-v0")
    finally:
        del gymnasium.registry["Other-v0"]
    assert "\n" not in str(caught.value)


def test_refuses_what_it_cannot_do() -> None:
    game = GymnasiumGame("CartPole-v1")
    game.reset(0)
    with pytest.raises(InputError, match=r"actions: expected shape \[1\], got \[2\]"):
        game.step({AGENT: np.zeros(2, int)})
    with pytest.raises(InputError, match="cannot be saved"):
        game.get_state()
    with pytest.raises(InputError, match="cannot be set"):
        game.set_state({})
    with pytest.raises(InputError, match="Gymnasium cannot make this task"):
        GymnasiumGame("NoSuchTask-v0")
    with pytest.raises(InputError, match="at least 1 match"):
        GymnasiumGame("CartPole-v1", 0)
    with pytest.raises(InputError, match="no options"):
        make("CartPole-v1", 1, 0, {"fast": "yes"})


class Painted(Countdown):
    """Draws the step that it is at."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> np.ndarray:
        return np.full((20, 30, 3), self.time, np.uint8)


@pytest.fixture
def painted() -> Iterator[None]:
    task: Any = Painted  # a class, of which Gymnasium reads the render modes
    gymnasium.register("Painted-v0", task)
    yield
    del gymnasium.registry["Painted-v0"]


@pytest.mark.usefixtures("painted")
def test_a_task_draws_where_a_picture_is_wanted() -> None:
    plain = make("Painted-v0", 2, 1, {})
    assert not hasattr(plain, "frame")  # training is done without
    game = plain.with_pictures()
    game.reset(0)
    for time in (0, 1, 2, 0):  # the match ends at step 3, and the next one begins
        np.testing.assert_array_equal(game.frame(1), np.full((20, 30, 3), time))
        game.step({AGENT: np.zeros(2, int)})
    env = make_parallel_env("gymnasium/Painted-v0", "rgb_array")
    env.reset(0)
    picture = env.render()
    assert isinstance(picture, np.ndarray) and picture.shape == (20, 30, 3)


@pytest.mark.usefixtures("painted")
def test_a_task_is_filmed() -> None:
    game = make("Painted-v0", 2, 1, {})
    casting = Casting("random", {AGENT: RandomPolicy(game.spaces[AGENT].action)})
    made = film(game, [casting], (), (AGENT,), np.random.SeedSequence(0))
    assert made.panels[0].outcome == "return 1.5 at step 3"  # 0.5 a step
    np.testing.assert_array_equal([made.panels[0].reel[t][0, 0, 0] for t in range(3)], [0, 1, 2])


def test_a_task_that_cannot_draw_says_why() -> None:
    with pytest.raises(NoPicture, match="no picture: gymnasium/Unpainted-v0 has no render mode rgb_array"):
        gymnasium.register("Unpainted-v0", lambda **_: Countdown())
        try:
            make("Unpainted-v0", 1, 1, {}).with_pictures()
        finally:
            del gymnasium.registry["Unpainted-v0"]


def test_a_task_whose_painter_is_not_installed_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pygame"] or ["pygame"]:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    game = make("CartPole-v1", 1, 1, {})
    with pytest.raises(NoPicture, match="no picture: gymnasium/CartPole-v1: pygame is not installed") as error:
        game = game.with_pictures()
        game.reset(0)
        game.frame()
    assert "\n" not in str(error.value)
