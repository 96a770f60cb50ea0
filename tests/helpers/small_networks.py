"""What the tests of PPO's loss and those of its update share: small networks, and the size of a batch."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.learners.ppo import Batch, PPOConfig
from sparring.nets import ActorCritic, NetworkConfig, actor_critic, heads
from sparring.types import Box, Discrete, Spaces

KEY = np.array([3, 4], np.uint32)
CONTINUOUS, DISCRETE = Spaces(Box((3,)), Box((2,))), Spaces(Box((3,)), Discrete(4))
T, B = 5, 4
PLAIN = PPOConfig(normalize_observations=False, max_grad_norm=1e9, epochs=1, minibatch=T * B)


@cache
def network(spaces: Spaces, architecture: Any) -> ActorCritic:
    made = actor_critic(spaces, NetworkConfig(architecture, (6, 6)), KEY)
    rng = np.random.default_rng(0)
    # Weights that are not special: a new policy head is almost zero.
    return jax.tree.map(
        lambda x: jnp.asarray(x + 0.3 * rng.normal(size=x.shape), jnp.float32) if eqx.is_inexact_array(x) else x,
        made,
        is_leaf=lambda x: type(x).__name__ == "Normalizer",
    )


class Problem(NamedTuple):
    weights: ActorCritic
    static: ActorCritic
    batch: Batch


def problem(spaces: Spaces, architecture: str) -> Problem:
    """A batch in float64 with ratios on both sides of the clip range and a third of the steps uncontrolled.

    Where actions are discrete, some of them are illegal.
    """
    net = jax.tree.map(lambda x: x.astype(np.float64) if eqx.is_inexact_array(x) else x, network(spaces, architecture))
    rng = np.random.default_rng(1)
    observation = rng.normal(size=(T, B, 3))
    first = rng.random((T, B)) < 0.3
    discrete = isinstance(spaces.action, Discrete)
    action = rng.integers(4, size=(T, B)) if discrete else rng.normal(size=(T, B, 2))
    state = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), net.initial_state(B))
    legal = (rng.random((T, B, 4)) < 0.5) | (np.arange(4) == action[..., None]) if discrete else None
    head, _ = net.unroll(jnp.asarray(observation), jnp.asarray(first), state)
    head = heads.masked(head, legal)
    log_prob = np.asarray(net.log_prob(head, jnp.asarray(action))) + rng.normal(size=(T, B)) * 0.4
    batch = Batch(
        observation,
        legal,
        action,
        log_prob,
        rng.normal(size=(T, B)),
        rng.normal(size=(T, B)),
        rng.random((T, B)) < 0.67,
        rng.random((T, B)) < 0.8,
        first,
        (),
    )
    batch = jax.tree.map(jnp.asarray, batch)
    if architecture == "lstm":
        batch = batch._replace(policy_state=state)
    else:
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
    return Problem(*eqx.partition(net, eqx.is_inexact_array), batch)
