"""Generalised advantage estimation (Schulman et al. 2016) that keeps termination and truncation apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sparring.types import Array


def gae(
    reward: Array,
    value: Array,
    bootstrap: Array,
    terminated: Array,
    truncated: Array,
    last_value: Array,
    gamma: float,
    lam: float,
) -> Array:
    """Advantages [T, B].

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t) and A_t = delta_t + gamma lam A_{t+1}. Where a match terminated,
    V(s_{t+1}) is 0; where it was truncated (DECISIONS 16), it is the critic's value of the final observation
    (`bootstrap`); in both cases A_{t+1} belongs to another match and is left out.

    Args:
      reward, value, bootstrap: float [T, B].
      terminated, truncated: bool [T, B].
      last_value: float [B], the critic after the last step.
      gamma, lam: discount and trace decay.
    """
    following = jnp.concatenate([value[1:], last_value[None]])
    ended = jnp.logical_or(terminated, truncated)
    next_value = jnp.where(ended, jnp.where(truncated & ~terminated, bootstrap, 0.0), following)
    delta = reward + gamma * next_value - value

    def step(after: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, ended_t = inputs
        advantage = delta_t + gamma * lam * jnp.where(ended_t, 0.0, after)
        return advantage, advantage

    return jax.lax.scan(step, jnp.zeros_like(last_value), (delta, ended), reverse=True)[1]
