from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.errors import InputError
from sparring.nets import NetworkConfig, actor_critic
from sparring.policy import (
    CallablePolicy,
    ConstantPolicy,
    MixedPolicy,
    Policy,
    RandomPolicy,
    TabularPolicy,
    act,
    check_action,
    mix,
    simple_policy,
)
from sparring.types import Continuous, Control, Discrete, Spaces, ThreatModel, check_budget

BATCH = 4000
SPACES = Spaces(3, Continuous(2))
OBSERVATION = np.random.default_rng(0).normal(size=(BATCH, 3)).astype(np.float32)


def key(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, 2, np.uint32)


def noisy(observation: np.ndarray, rng: np.random.Generator, sign: float) -> np.ndarray:
    return sign + rng.normal(size=(len(observation), 2)).astype(np.float32)


def pair(kind: Any) -> tuple[Policy, Policy]:
    if kind == "host":
        return CallablePolicy(partial(noisy, sign=1.0)), CallablePolicy(partial(noisy, sign=-1.0))
    if kind == "both":
        return RandomPolicy(SPACES.action), CallablePolicy(partial(noisy, sign=-1.0))
    config = NetworkConfig(kind, (8, 8))
    return actor_critic(SPACES, config, key(1)), actor_critic(SPACES, config, key(2))


def play(policy: Policy, steps: int) -> tuple[list[np.ndarray], list[Any]]:
    state, actions, controlled = policy.initial_state(BATCH), [], []
    for t in range(steps):
        decision = act(policy, key(100 + t), OBSERVATION * (1 + t), state)
        state = decision.state
        actions.append(np.asarray(decision.action))
        controlled.append(decision.controlled)
    return actions, controlled


@pytest.mark.parametrize(
    ("kind", "control"),
    [("lstm", "step"), ("mlp", "blend"), ("host", "step"), ("host", "episode"), ("host", "blend"), ("both", "episode")],
)
def test_the_two_ends_of_the_budget_replay_the_two_policies(kind: str, control: Control) -> None:
    benign, adversarial = pair(kind)
    for budget, only in ((0.0, benign), (1.0, adversarial)):
        mixed, controlled = play(mix(benign, adversarial, budget, control), 3)
        alone, _ = play(only, 3)
        for t in range(3):
            np.testing.assert_array_equal(mixed[t], alone[t])
            assert np.asarray(controlled[t]).all() == (budget == 1)
            assert np.asarray(controlled[t]).any() == (budget == 1)


@pytest.mark.parametrize(("kind", "budget"), [("mlp", 0.3), ("host", 0.1), ("host", 0.9)])
def test_control_is_drawn_at_every_step(kind: str, budget: float) -> None:
    benign, adversarial = pair(kind)
    steps = 8
    actions, controlled = play(mix(benign, adversarial, budget), steps)
    coins = np.array([np.asarray(c) for c in controlled])
    # 5 standard deviations of a binomial proportion: by chance once in 1.7 million.
    sd = math.sqrt(budget * (1 - budget) / coins.size)
    assert abs(coins.mean() - budget) < 5 * sd
    # Correlation of consecutive coins of one match, and of neighbouring matches: its deviation is 1 / sqrt(n).
    for ours, others in ((coins[:-1], coins[1:]), (coins[:, :-1], coins[:, 1:])):
        assert abs(np.corrcoef(ours.ravel(), others.ravel())[0, 1]) < 5 / math.sqrt(ours.size)
    of_benign, of_adversarial = play(benign, steps)[0], play(adversarial, steps)[0]
    for t in range(steps):
        expected = np.where(coins[t][:, None], of_adversarial[t], of_benign[t])
        np.testing.assert_array_equal(actions[t], expected)


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_the_coin_is_independent_of_the_actions(kind: str) -> None:
    _, adversarial = pair(kind)
    decision = act(
        mix(adversarial, adversarial, 0.5), key(0), OBSERVATION, mix(adversarial, adversarial, 0.5).initial_state(BATCH)
    )
    coin = np.asarray(decision.controlled)
    for dimension in np.asarray(decision.action).T:
        assert abs(np.corrcoef(coin, dimension)[0, 1]) < 5 / math.sqrt(BATCH)


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_one_coin_for_a_match(kind: str) -> None:
    policy = mix(*pair(kind), 0.3, "episode")
    _, controlled = play(policy, 4)
    first = np.asarray(controlled[0])
    assert abs(first.mean() - 0.3) < 5 * math.sqrt(0.21 / BATCH)
    for later in controlled[1:]:
        np.testing.assert_array_equal(np.asarray(later), first)
    fresh = act(policy, key(999), OBSERVATION, policy.initial_state(BATCH))
    again = np.asarray(fresh.controlled)
    assert abs(np.corrcoef(first, again)[0, 1]) < 5 / math.sqrt(BATCH)  # a new match, a new coin


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_blending_is_the_convex_combination(kind: str) -> None:
    benign, adversarial = pair(kind)
    policy = mix(benign, adversarial, 0.25, "blend")
    decision = act(policy, key(100), OBSERVATION, policy.initial_state(BATCH))
    ours, theirs = play(benign, 1)[0][0], play(adversarial, 1)[0][0]
    np.testing.assert_allclose(np.asarray(decision.action), 0.75 * ours + 0.25 * theirs, rtol=1e-6, atol=1e-6)
    assert np.asarray(decision.controlled).all()
    np.testing.assert_array_equal(np.asarray(decision.own), theirs)


def test_log_prob_and_value_are_the_adversarial_policys() -> None:
    benign, adversarial = pair("mlp")
    policy = mix(benign, adversarial, 0.3)
    decision = act(policy, key(5), OBSERVATION, policy.initial_state(BATCH))
    alone = act(adversarial, key(5), OBSERVATION, adversarial.initial_state(BATCH))
    np.testing.assert_array_equal(np.asarray(decision.log_prob), np.asarray(alone.log_prob))
    np.testing.assert_array_equal(np.asarray(decision.value), np.asarray(alone.value))


@pytest.mark.parametrize("budget", [math.nan, math.inf, -0.1, 1.3, "x", None, [0.5]])
def test_what_is_no_probability_is_refused(budget: Any) -> None:
    policy = RandomPolicy(SPACES.action)
    for attempt in (
        lambda: check_budget(budget),
        lambda: mix(policy, policy, budget),
        lambda: ThreatModel("a", ("b",), {"b": policy}, budget),
    ):
        with pytest.raises(InputError, match=r"budget: expected a probability in \[0, 1\]"):
            attempt()


@given(st.floats(0, 1))
def test_every_probability_is_accepted(budget: float) -> None:
    assert check_budget(budget) == check_budget(np.float64(budget)) == budget


def test_unknown_control_is_refused() -> None:
    policy = RandomPolicy(SPACES.action)
    unknown: Any = "episodes"
    with pytest.raises(InputError, match="did you mean episode"):
        mix(policy, policy, 0.5, unknown)


def test_threat_model() -> None:
    policy = RandomPolicy(SPACES.action)
    assert ThreatModel("a", ("b",), {"b": policy}, 0.3).budget == 0.3
    with pytest.raises(InputError, match="both the victim and an attacker"):
        ThreatModel("a", ("a",), {"a": policy}, 0.3)
    with pytest.raises(InputError, match="no benign policy for attacker c"):
        ThreatModel("a", ("b", "c"), {"b": policy}, 0.3)


def test_random_policies_are_uniform() -> None:
    box = Continuous(2, -3.0, 1.0)
    actions = np.asarray(act(RandomPolicy(box), key(0), OBSERVATION, ()).action)
    assert actions.shape == (BATCH, 2)
    assert actions.min() >= -3 and actions.max() <= 1
    # Uniform on [-3, 1]: mean -1, variance 16 / 12; 5 standard errors of the mean.
    assert np.abs(actions.mean(0) + 1).max() < 5 * math.sqrt(16 / 12 / BATCH)
    np.testing.assert_allclose(actions.var(0), 16 / 12, rtol=0.1)
    dice = np.asarray(act(RandomPolicy(Discrete(6)), key(0), OBSERVATION, ()).action)
    counts = np.bincount(dice, minlength=6)
    assert len(counts) == 6
    assert np.abs(counts - BATCH / 6).max() < 5 * math.sqrt(BATCH * 5 / 36)


def test_constant_policies() -> None:
    torque = act(ConstantPolicy(SPACES.action), key(0), OBSERVATION, ()).action
    np.testing.assert_array_equal(np.asarray(torque), np.zeros((BATCH, 2), np.float32))
    first = np.asarray(act(ConstantPolicy(Discrete(3)), key(0), OBSERVATION, ()).action)
    assert first.shape == (BATCH,) and not first.any() and np.issubdtype(first.dtype, np.integer)


def test_tabular_policy_plays_its_probabilities() -> None:
    probabilities = np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]])
    states = np.arange(BATCH) % 2
    decision = act(TabularPolicy(probabilities), key(0), np.eye(2, dtype=np.float32)[states], ())
    action = np.asarray(decision.action)
    for s in range(2):
        rate = np.bincount(action[states == s], minlength=3) / (BATCH / 2)
        deviation = np.sqrt(probabilities[s] * (1 - probabilities[s]) / (BATCH / 2))
        assert (np.abs(rate - probabilities[s]) <= 5 * deviation).all()
    np.testing.assert_allclose(np.asarray(decision.log_prob), np.log(probabilities[states, action]), rtol=1e-5)


def test_a_callable_gets_numpy_and_a_generator_of_the_key() -> None:
    seen: list[Any] = []

    def function(observation: np.ndarray, rng: np.random.Generator) -> list[int]:
        seen.append((type(observation), rng.random()))
        return [0] * len(observation)

    policy = CallablePolicy(function)
    for seed in (1, 1, 2):
        assert act(policy, key(seed), jax.numpy.asarray(OBSERVATION), ()).action.shape == (BATCH,)
    assert {kind for kind, _ in seen} == {np.ndarray}
    assert seen[0][1] == seen[1][1] != seen[2][1]


@pytest.mark.parametrize("kind", ["mlp", "host"])
def test_the_same_key_gives_the_same_decision(kind: str) -> None:
    policy = mix(*pair(kind), 0.5)
    for a, b in zip(play(policy, 2)[0], play(policy, 2)[0], strict=True):
        np.testing.assert_array_equal(a, b)
    other = act(policy, key(3), OBSERVATION, policy.initial_state(BATCH)).action
    assert not np.array_equal(np.asarray(other), play(policy, 1)[0][0])


def test_traceable_if_both_are() -> None:
    network, host = pair("mlp")[0], pair("host")[0]
    assert MixedPolicy(network, network, 0.5).traceable
    assert not MixedPolicy(network, host, 0.5).traceable
    assert not MixedPolicy(host, network, 0.5).traceable
    assert isinstance(MixedPolicy(network, host, 0.5), Policy)


def test_plain_policies_by_name() -> None:
    continuous, discrete = SPACES, Spaces(1, Discrete(3))
    for name in ("random", "uniform"):
        assert simple_policy(name, discrete) == RandomPolicy(Discrete(3))
    assert simple_policy("zero", continuous) == ConstantPolicy(SPACES.action)
    assert simple_policy("first", discrete) == ConstantPolicy(Discrete(3))
    assert simple_policy("native:x", continuous) is None
    with pytest.raises(InputError, match="'zero' does not fit discrete actions: use first"):
        simple_policy("zero", discrete)
    with pytest.raises(InputError, match="'first' does not fit continuous actions: use zero"):
        simple_policy("first", continuous)


@pytest.mark.parametrize(
    ("action", "space", "message"),
    [
        (np.zeros((3, 2)), Continuous(3), r"expected actions of size 3, got shape \[3, 2\]"),
        (np.zeros(3), Continuous(3), r"got shape \[3\]"),
        (np.array([[0.0], [np.nan]]), Continuous(1), "NaN or infinite"),
        (np.array([[0.0], [-np.inf]]), Continuous(1), "NaN or infinite"),
        (np.array([["a"]]), Continuous(1), "expected numbers"),
        (np.array([[None]]), Continuous(1), "expected numbers"),
        (np.array([[0.0], [-201.0]]), Continuous(1), r"action -201 is out of range, expected about \[-1, 1\]"),
        (np.array([0.0, 1.0]), Discrete(2), r"expected integer actions of shape \[B\], got float64 \[2\]"),
        (np.array([[0], [1]]), Discrete(2), r"got int64 \[2, 1\]"),
        (np.array([0, 2]), Discrete(2), "action 2 is out of range, expected 0 to 1"),
        (np.array([-1, 0]), Discrete(2), "action -1 is out of range, expected 0 to 1"),
    ],
)
def test_meaningless_actions_are_refused(action: np.ndarray, space: Discrete | Continuous, message: str) -> None:
    with pytest.raises(InputError, match=f"agent x, step 3: .*{message}"):
        check_action(action, space, "agent x, step 3")


def test_actions_beyond_the_box_are_the_games_to_clamp() -> None:
    check_action(np.array([[200.0], [-200.0]]), Continuous(1), "")
    check_action(np.array([0, 1, 2], np.int8), Discrete(3), "")


@pytest.mark.parametrize("kind", ["mlp", "host"])
@pytest.mark.parametrize("control", ["step", "episode"])
def test_a_mixture_in_a_mixture_controls_what_both_coins_leave_to_it(kind: str, control: Control) -> None:
    benign, adversarial = pair(kind)
    other = ConstantPolicy(SPACES.action)
    policy = mix(other, mix(benign, adversarial, 0.4, control), 0.5, control)
    actions, controlled = play(policy, 3)
    of_benign, of_adversarial = play(benign, 3)[0], play(adversarial, 3)[0]
    for t in range(3):
        coin = np.asarray(controlled[t])
        # .5 x .4 with coins of their own; one coin for both would leave .4 to it.
        assert abs(coin.mean() - 0.2) < 5 * math.sqrt(0.16 / BATCH)
        np.testing.assert_array_equal(actions[t][coin], of_adversarial[t][coin])
        still = (actions[t] == 0).all(1)
        assert abs(still.mean() - 0.5) < 5 * math.sqrt(0.25 / BATCH)
        np.testing.assert_array_equal(actions[t][~coin & ~still], of_benign[t][~coin & ~still])


def test_a_blend_within_a_mixture_is_learned_from_by_its_own_action() -> None:
    benign, adversarial = pair("mlp")
    policy = mix(ConstantPolicy(SPACES.action), mix(benign, adversarial, 0.25, "blend"), 0.5)
    decision = act(policy, key(100), OBSERVATION, policy.initial_state(BATCH))
    np.testing.assert_array_equal(np.asarray(decision.own), play(adversarial, 1)[0][0])
