"""What every learner promises, of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparring.learners.a2c import A2CConfig, a2c
from sparring.learners.ppo import PPOConfig, ppo
from sparring.learners.replicas import replicated
from sparring.learners.rpg import RPGConfig, rpg
from sparring.nets import NetworkConfig, heads
from sparring.nets.encoders import encode
from sparring.types import Box, Dict, Discrete, Experience, Learner, MultiDiscrete, Policy, Spaces, View

T, B, A = 4, 6, 3
KEY, OTHER = np.array([3, 4], np.uint32), np.array([3, 5], np.uint32)
SPACES = Spaces(Box((2,)), Discrete(A))
PPO = PPOConfig(epochs=1, minibatch=8, average=0.5, network=NetworkConfig(hidden=(4,)))
LEARNERS: dict[str, Learner] = {
    "ppo": ppo(PPO),
    "ppo-lstm": ppo(replace(PPO, network=NetworkConfig("lstm", (4,)))),
    "a2c": a2c(A2CConfig(hidden=(4,))),
    "rpg": rpg(RPGConfig(hidden=(4,))),
    "replicated": replicated(a2c(A2CConfig(hidden=(4,))), 2),
}


def experience(policy: Policy) -> Experience:
    """Random play of T steps, with masks, steps without control, and matches that end in both ways."""
    rng = np.random.default_rng(0)
    ended = rng.random((T, B)) < 0.4
    truncated = ended & (rng.random((T, B)) < 0.5)
    action = rng.integers(A, size=(T, B))
    return Experience(
        observation=jnp.asarray(rng.normal(size=(T, B, 2)), jnp.float32),
        legal=jnp.asarray((rng.random((T, B, A)) < 0.6) | (np.arange(A) == action[..., None])),
        action=jnp.asarray(action),
        reward=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        log_prob=jnp.full((T, B), -1.0),
        value=jnp.asarray(rng.normal(size=(T, B)), jnp.float32),
        bootstrap=jnp.asarray(np.where(truncated, 1.0, 0.0), jnp.float32),
        controlled=jnp.asarray(rng.random((T, B)) < 0.7),
        valued=jnp.asarray(rng.random((T, B)) < 0.9),
        terminated=jnp.asarray(ended & ~truncated),
        truncated=jnp.asarray(truncated),
        first=jnp.asarray(np.vstack([np.ones((1, B), bool), ended[:-1]])),
        last_value=jnp.zeros(B),
        policy_state=jax.tree.map(jnp.asarray, policy.initial_state(B)),
    )


def arrays(tree: Any) -> list[np.ndarray]:
    return [np.array(x) for x in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_is_three_pure_functions(name: str) -> None:
    learner = LEARNERS[name]
    state = learner.init(SPACES, KEY)
    begun = arrays(state)
    assert equal(begun, arrays(learner.init(SPACES, KEY)))
    assert not equal(begun, arrays(learner.init(SPACES, OTHER)))
    policy = learner.policy(state)
    e = experience(policy)
    seen = arrays(e)
    after, metrics = learner.update(state, e, KEY)
    again, _ = learner.update(state, e, KEY)
    assert equal(arrays(after), arrays(again))
    assert equal(arrays(state), begun) and equal(arrays(e), seen)  # nothing is changed in place
    assert not equal(arrays(after), begun)
    assert all(np.isfinite(x).all() for x in arrays((after, metrics)))
    # A checkpoint is read into a state as it was made: structure, shapes and types stay.
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in arrays(after)] == [(x.shape, x.dtype) for x in begun]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_kept_is_a_policy(name: str) -> None:
    learner = LEARNERS[name]
    state = learner.init(SPACES, KEY)
    legal = jnp.asarray([[False, True, False]] * B)
    for kept in (learner.policy(state), (learner.final or learner.policy)(state)):
        assert isinstance(kept, Policy) and kept.traceable
        decision = kept.act(KEY, View(jnp.zeros((B, 2)), legal), kept.initial_state(B))
        np.testing.assert_array_equal(decision.action, np.ones(B))  # the only legal action
        assert decision.log_prob is not None and decision.value is not None
        np.testing.assert_allclose(decision.log_prob, np.zeros(B), atol=1e-6)


@pytest.mark.slow
def test_ppo_learns_several_choices_from_a_dict_of_observations() -> None:
    """With a rate of zero the ratios are one: encoding, masks and choices are those with which it was played."""
    image = Box((2, 2), 0, 255, "uint8")
    spaces = Spaces(Dict((("hand", Discrete(3)), ("view", image))), MultiDiscrete((2, 3)))
    learner = ppo(replace(PPO, learning_rate=0.0))
    state = learner.init(spaces, KEY)
    network: Any = learner.policy(state)
    rng = np.random.default_rng(0)
    seen = {"hand": jnp.asarray(rng.integers(3, size=(T, B))), "view": rng.integers(256, size=(T, B, 2, 2), dtype="u1")}
    legal = jnp.asarray(rng.random((T, B, 5)) < 0.5).at[..., jnp.array([1, 2])].set(True)
    head, _, _ = network.forward(network.normalizer(encode(spaces.observation, seen)).reshape(T * B, -1), ((), ()))
    head = heads.masked(head.reshape(T, B, 5), legal)
    action = jnp.asarray(np.broadcast_to([1, 0], (T, B, 2)))
    e = experience(network)._replace(observation=seen, legal=legal, action=action)
    e = e._replace(log_prob=network.log_prob(head, action), controlled=jnp.ones((T, B), bool))
    after, metrics = learner.update(state, e, KEY)
    assert float(metrics["kl"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["entropy"]) == pytest.approx(float(network.entropy(head).mean()), rel=1e-4)
    # 3 + 4 numbers are read, the image's as 0 to 1.
    assert after.network.normalizer.mean.shape == (7,)
    assert float(after.network.normalizer.mean.max()) <= 1
