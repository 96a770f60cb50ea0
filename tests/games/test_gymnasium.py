from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from sparring.errors import InputError
from sparring.games.gymnasium import AGENT, GymnasiumGame, make, names
from sparring.types import Continuous, Discrete, Spaces, VectorGame

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


@pytest.fixture
def countdown() -> Iterator[str]:
    gymnasium.register("Countdown-v0", lambda **_: Countdown())
    yield "Countdown-v0"
    del gymnasium.registry["Countdown-v0"]


def test_matches_restart_in_the_same_step_and_keep_their_last_observation(countdown: str) -> None:
    game = GymnasiumGame(countdown, 2)
    assert isinstance(game, VectorGame)
    assert game.spaces == {AGENT: Spaces(2, Discrete(2))}
    game.reset(0)
    steps = [game.step({AGENT: np.array([0, 1])}) for _ in range(4)]
    assert [s.terminated.tolist() for s in steps] == [[False] * 2, [False] * 2, [True] * 2, [False] * 2]
    assert not any(s.truncated.any() or s.invalid.any() for s in steps)  # the end counts, not the limit
    assert [s.observation[AGENT][1].tolist() for s in steps] == [[1, 6], [2, 6], [0, 0], [1, 6]]
    assert [s.final_observation[AGENT][1].tolist() for s in steps] == [[1, 6], [2, 6], [3, 6], [1, 6]]
    assert [s.reward[AGENT].tolist() for s in steps] == [[0.5, 0.5]] * 4
    assert (steps[2].winner == -1).all()


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
    assert (step.observation[AGENT] != step.final_observation[AGENT]).any()


def test_agrees_with_the_task_itself() -> None:
    """One match of Gymnasium's own, from the same state, with the clipped action."""
    game = GymnasiumGame("Pendulum-v1")
    assert game.spaces == {AGENT: Spaces(3, Continuous(1, -2.0, 2.0))}
    start = game.reset(0)[AGENT][0]
    task = gymnasium.make("Pendulum-v1")
    observation, _ = task.reset(seed=int(np.random.SeedSequence(0).spawn(1)[0].generate_state(1)[0]))
    np.testing.assert_array_equal(start, observation)
    for action in (0.5, 7.0, -7.0):
        ours = game.step({AGENT: np.array([[action]])})
        observation, reward, *_ = task.step(np.clip(np.array([action], np.float32), -2, 2))
        np.testing.assert_array_equal(ours.observation[AGENT][0], observation)
        assert ours.reward[AGENT][0] == np.float32(float(reward))
    task.close()


@pytest.mark.parametrize("name", names())
def test_same_seed_same_bits(name: str) -> None:
    def play(seed: int) -> bytes:
        game = make(name, num_games=3, threads=0, options={})
        rng = np.random.default_rng(1)
        played = [game.reset(seed)[AGENT]]
        space = game.spaces[AGENT].action
        for _ in range(30):
            action = rng.integers(space.n, size=3) if isinstance(space, Discrete) else rng.normal(size=(3, space.size))
            step = game.step({AGENT: action})
            assert step.observation[AGENT].dtype == step.reward[AGENT].dtype == np.float32
            played.append(step.observation[AGENT])
        game.close()
        return b"".join(array.tobytes() for array in played)

    assert play(7) == play(7) != play(8)


def test_matches_differ_from_each_other() -> None:
    observation = GymnasiumGame("CartPole-v1", 3).reset(0)[AGENT]
    assert len(np.unique(observation, axis=0)) == 3


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Discrete(3), spaces.Discrete(2), "expected observations that are vectors of floats, got Discrete"),
        (spaces.Box(0, 1, (2, 2), np.float32), spaces.Discrete(2), "expected observations that are vectors of floats"),
        (spaces.Box(0, 255, (2,), np.uint8), spaces.Discrete(2), "expected observations that are vectors of floats"),
        (VECTOR, spaces.MultiDiscrete([2, 2]), "expected discrete actions or a box"),
        (VECTOR, spaces.Box(-np.inf, np.inf, (2,), np.float32), "same finite bounds"),
        (VECTOR, spaces.Box(np.array([-1, -2.0]), np.array([1, 1.0]), dtype=np.float64), "same finite bounds"),
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
    with pytest.raises(InputError, match=r"expected actions of shape \[1\], got \[2\]"):
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
