"""What the tests of PPO's loss and those of its update share: small networks, and the size of a batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sparring.learners.ppo import PPOConfig
from sparring.nets import ActorCritic, NetworkConfig, actor_critic
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
