"""Plain policies: what they play, with every kind of action, and under masks."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest

from sparring.errors import InputError
from sparring.mixture import act
from sparring.policies import (
    CallablePolicy,
    ConstantPolicy,
    PoolPolicy,
    RandomPolicy,
    TabularPolicy,
    check_action,
    simple_policy,
)
from sparring.types import ActionSpace, Array, Box, Discrete, MultiDiscrete, Spaces, View

BATCH = 4000
TORQUES = Box((2,), -1.0, 1.0)
SPACES = Spaces(Box((3,)), TORQUES)
VIEW = View(np.random.default_rng(0).normal(size=(BATCH, 3)).astype(np.float32))


def key(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, 2, np.uint32)


def actions(policy: Any, view: View = VIEW, seed: int = 0) -> np.ndarray:
    return np.asarray(act(policy, key(seed), view, policy.initial_state(BATCH)).action)


def uniform(drawn: np.ndarray, n: int) -> bool:
    """All counts within five standard deviations of a binomial count."""
    counts = np.bincount(drawn, minlength=n)
    return len(counts) == n and bool((np.abs(counts - len(drawn) / n) < 5 * math.sqrt(len(drawn) * (n - 1)) / n).all())


def test_random_policies_are_uniform_over_boxes() -> None:
    drawn = actions(RandomPolicy(Box((2,), -3.0, 1.0)))
    assert drawn.shape == (BATCH, 2) and drawn.dtype == np.float32
    assert drawn.min() >= -3 and drawn.max() <= 1
    # Uniform on [-3, 1]: mean -1, variance 16 / 12; 5 standard errors of the mean.
    assert np.abs(drawn.mean(0) + 1).max() < 5 * math.sqrt(16 / 12 / BATCH)
    np.testing.assert_allclose(drawn.var(0), 16 / 12, rtol=0.1)


def test_bounds_hold_for_each_dimension() -> None:
    """A box of [0, 1] x [-10, 10] x {5}, in two dimensions of a [3, 1] array."""
    drawn = actions(RandomPolicy(Box((3, 1), (0.0, -10.0, 5.0), (1.0, 10.0, 5.0))))
    assert drawn.shape == (BATCH, 3, 1)
    np.testing.assert_allclose(drawn.mean(0)[:, 0], [0.5, 0, 5], atol=5 * 20 / math.sqrt(12 * BATCH))
    np.testing.assert_allclose(drawn.var(0)[:2, 0], [1 / 12, 400 / 12], rtol=0.1)
    assert (drawn[:, 2] == 5).all() and drawn[:, 0].min() >= 0


def test_random_choices_are_uniform() -> None:
    dice = actions(RandomPolicy(Discrete(6)))
    assert dice.shape == (BATCH,) and uniform(dice, 6)
    both = actions(RandomPolicy(MultiDiscrete((3, 4))))
    assert both.shape == (BATCH, 2)
    assert uniform(both[:, 0] * 4 + both[:, 1], 12)  # each pair, so the choices are independent


def test_random_choices_are_uniform_over_what_is_legal() -> None:
    masks = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0]], bool)
    which = np.arange(BATCH) % 2
    drawn = actions(RandomPolicy(Discrete(5)), View(VIEW.observation, masks[which]))
    assert (drawn[which == 1] == 1).all()
    assert uniform(np.searchsorted([0, 2, 3], drawn[which == 0]), 3)
    assert set(drawn[which == 0].tolist()) == {0, 2, 3}
    # Two choices of 3 and 2: the mask holds the actions of both, one choice after the other.
    legal = np.tile(np.array([0, 1, 1, 1, 0], bool), (BATCH, 1))
    drawn = actions(RandomPolicy(MultiDiscrete((3, 2))), View(VIEW.observation, legal))
    assert (drawn[:, 1] == 0).all() and uniform(drawn[:, 0] - 1, 2)


def test_constant_policies() -> None:
    np.testing.assert_array_equal(actions(ConstantPolicy(TORQUES)), np.zeros((BATCH, 2), np.float32))
    # Where 0 is not in the box, the nearest number that is.
    np.testing.assert_array_equal(actions(ConstantPolicy(Box((2,), (1.0, -3.0), (2.0, -2.0))))[0], [1, -2])
    first = actions(ConstantPolicy(Discrete(3)))
    assert first.shape == (BATCH,) and not first.any() and np.issubdtype(first.dtype, np.integer)
    assert actions(ConstantPolicy(MultiDiscrete((3, 2)))).shape == (BATCH, 2)
    legal = np.tile(np.array([0, 0, 1, 0, 1], bool), (BATCH, 1))
    assert (actions(ConstantPolicy(Discrete(5)), View(VIEW.observation, legal)) == 2).all()
    both = actions(ConstantPolicy(MultiDiscrete((3, 2))), View(VIEW.observation, legal))
    np.testing.assert_array_equal(both, np.tile([2, 1], (BATCH, 1)))


def test_tabular_policy_plays_its_probabilities() -> None:
    probabilities = np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    states = np.arange(BATCH) % 2
    decision = act(TabularPolicy(probabilities), key(0), View(np.eye(2, dtype=np.float32)[states]), ())
    action = np.asarray(decision.action)
    for s in range(2):
        rate = np.bincount(action[states == s], minlength=3) / (BATCH / 2)
        deviation = np.sqrt(probabilities[s] * (1 - probabilities[s]) / (BATCH / 2))
        assert (np.abs(rate - probabilities[s]) <= 5 * deviation).all()
    np.testing.assert_allclose(np.asarray(decision.log_prob), np.log(probabilities[states, action]), rtol=1e-5)


def test_a_callable_gets_numpy_and_a_generator_of_the_key() -> None:
    seen: list[Any] = []

    def function(observation: dict[str, np.ndarray], rng: np.random.Generator) -> list[int]:
        seen.append((type(observation["x"]), rng.random()))
        return [0] * len(observation["x"])

    policy = CallablePolicy(function)
    for seed in (1, 1, 2):
        assert actions(policy, View({"x": jax.numpy.asarray(VIEW.observation)}), seed).shape == (BATCH,)
    assert {kind for kind, _ in seen} == {np.ndarray}
    assert seen[0][1] == seen[1][1] != seen[2][1]


def test_a_callable_that_asks_for_the_mask_is_given_it() -> None:
    legal = np.eye(3, dtype=bool)[np.arange(BATCH) % 3]

    def function(observation: np.ndarray, rng: np.random.Generator, legal: np.ndarray | None) -> np.ndarray:
        return np.zeros(len(observation), int) if legal is None else legal.argmax(1)

    np.testing.assert_array_equal(actions(CallablePolicy(function), View(VIEW.observation, legal)), legal.argmax(1))
    assert not actions(CallablePolicy(function)).any()


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(InputError, match="the policy's function returned something that is no array"):
        actions(CallablePolicy(lambda observation, rng: [[1, 2], [3]]))


def test_plain_policies_by_name() -> None:
    continuous, discrete = SPACES, Spaces(Box((1,)), Discrete(3))
    several = Spaces(Box((1,)), MultiDiscrete((2, 2)))
    for name in ("random", "uniform"):
        assert simple_policy(name, discrete) == RandomPolicy(Discrete(3))
    assert simple_policy("zero", continuous) == ConstantPolicy(TORQUES)
    assert simple_policy("first", discrete) == ConstantPolicy(Discrete(3))
    assert simple_policy("first", several) == ConstantPolicy(several.action)
    assert simple_policy("native:x", continuous) is None
    with pytest.raises(InputError, match="'zero' does not fit discrete actions: use first"):
        simple_policy("zero", several)
    with pytest.raises(InputError, match="'first' does not fit continuous actions: use zero"):
        simple_policy("first", continuous)
    with pytest.raises(InputError, match="'random' needs bounded actions, and these have no bounds: use zero"):
        simple_policy("random", Spaces(Box((1,)), Box((2,), (-1.0, 0.0), (1.0, math.inf))))


@pytest.mark.parametrize(
    ("action", "space", "message"),
    [
        (np.zeros((3, 2)), Box((3,), -1.0, 1.0), r"expected actions of size 3, got shape \[3, 2\]"),
        (np.zeros(3), Box((3,), -1.0, 1.0), r"got shape \[3\]"),
        (np.zeros((3, 4)), Box((2, 2), -1.0, 1.0), r"expected actions of size \[2, 2\], got shape \[3, 4\]"),
        (np.array([[0.0], [np.nan]]), Box((1,), -1.0, 1.0), "NaN or infinite"),
        (np.array([[0.0], [-np.inf]]), Box((1,), -1.0, 1.0), "NaN or infinite"),
        (np.array([["a"]]), Box((1,), -1.0, 1.0), "expected numbers"),
        (np.array([[None]]), Box((1,), -1.0, 1.0), "expected numbers"),
        (np.array([[0.0], [-201.0]]), Box((1,), -1.0, 1.0), r"action -201 is out of range, expected about \[-1, 1\]"),
        (
            np.array([[0.0, 5e3]]),
            Box((2,), (-1.0, 0.0), (1.0, 10.0)),
            r"5000 is out of range, expected about \[0, 10\]",
        ),
        (np.array([0.0, 1.0]), Discrete(2), r"expected integer actions of shape \[B\], got float64 \[2\]"),
        (np.array([[0], [1]]), Discrete(2), r"got int64 \[2, 1\]"),
        (np.array([0, 2]), Discrete(2), "action 2 is out of range, expected 0 to 1"),
        (np.array([-1, 0]), Discrete(2), "action -1 is out of range, expected 0 to 1"),
        (np.array(0), Discrete(2), r"expected integer actions of shape \[B\], got int64 \[\]"),
        (np.array([0, 1]), MultiDiscrete((2, 3)), r"expected integer actions of shape \[B, 2\], got int64 \[2\]"),
        (np.array([[0, 1, 1]]), MultiDiscrete((2, 3)), r"got int64 \[1, 3\]"),
        (np.array([[1, 2], [1, 3]]), MultiDiscrete((2, 3)), "action 3 is out of range, expected 0 to 2"),
        (np.array([[2, 2]]), MultiDiscrete((2, 3)), "action 2 is out of range, expected 0 to 1"),
    ],
)
def test_meaningless_actions_are_refused(action: np.ndarray, space: ActionSpace, message: str) -> None:
    with pytest.raises(InputError, match=f"agent x, step 3: .*{message}") as error:
        check_action(action, space, "agent x, step 3")
    assert "\n" not in str(error.value)


def test_actions_beyond_the_box_are_the_games_to_clamp() -> None:
    check_action(np.array([[200.0], [-200.0]]), Box((1,), -1.0, 1.0), "")
    check_action(np.array([[1e9, -1e9]]), Box((2,)), "")  # nothing is far from a box without bounds
    check_action(np.array([0, 1, 2], np.int8), Discrete(3), "")


@pytest.mark.parametrize(
    ("space", "legal", "action", "message"),
    [
        (Discrete(3), [[1, 1, 1], [1, 0, 1]], [1, 1], "action 1 is not legal in match 1: see View.legal"),
        (MultiDiscrete((2, 3)), [[1, 1, 0, 1, 1]], [[1, 0]], "action 0 is not legal in match 0"),
        (MultiDiscrete((2, 3)), [[0, 1, 1, 1, 1]], [[0, 0]], "action 0 is not legal in match 0"),
    ],
)
def test_illegal_actions_are_refused(space: ActionSpace, legal: Any, action: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"agent x: {message}"):
        check_action(np.array(action), space, "agent x", np.array(legal, bool))
    check_action(np.array(action), space, "agent x", np.ones_like(legal, bool))


def pool(probability: float | np.ndarray, count: int = 2) -> PoolPolicy:
    """Past policies that play 1 and 2 (numbers 4 and 7), and a third place that is not in use."""
    past: Array = np.eye(4, dtype=np.float32)[[1, 2, 3]][:, None]
    live = TabularPolicy(np.eye(4, dtype=np.float32)[:1])
    chance = np.broadcast_to(np.float32(probability), (BATCH,))
    return PoolPolicy(live, TabularPolicy(past), np.array([4, 7, 9], np.int32), np.int32(count), chance)


def play(policy: PoolPolicy, steps: int) -> list[Any]:
    state, decisions = policy.initial_state(BATCH), []
    for t in range(steps):
        decisions.append(act(policy, key(10 + t), View(np.ones((BATCH, 1), np.float32)), state))
        state = decisions[-1].state
    return decisions


def test_a_match_keeps_the_opponent_that_was_drawn_when_it_began() -> None:
    first, *later = play(pool(0.6), 4)
    drawn, action = np.asarray(first.state.drawn), np.asarray(first.action)
    np.testing.assert_array_equal(action, np.select([drawn == 4, drawn == 7], [1, 2], 0))
    # .4 the policy of the moment, .3 each past one; five standard deviations.
    for number, rate in ((-1, 0.4), (4, 0.3), (7, 0.3)):
        assert abs((drawn == number).mean() - rate) < 5 * math.sqrt(rate * (1 - rate) / BATCH)
    np.testing.assert_array_equal(first.controlled, drawn == -1)
    np.testing.assert_array_equal(first.valued, drawn == -1)
    for decision in later:
        np.testing.assert_array_equal(decision.action, action)


def test_an_empty_pool_and_a_slot_without_one_play_the_policy_of_the_moment() -> None:
    assert not np.asarray(play(pool(1.0, count=0), 1)[0].action).any()
    half = np.where(np.arange(BATCH) < BATCH // 2, 0.0, 1.0).astype(np.float32)
    action = np.asarray(play(pool(half), 1)[0].action)
    assert not action[: BATCH // 2].any() and action[BATCH // 2 :].all()
