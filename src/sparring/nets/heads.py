"""What a network's head means: logits of discrete choices, or the means of a Gaussian. Pure functions.

A head is float32 [..., n]: for `Discrete` and `MultiDiscrete` actions the logits of all choices one after the other,
for a `Box` the means of its entries. Illegal actions have logits of -1e9: they are never sampled, and neither
log-probabilities nor entropy nor gradients notice them.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparring.types import ActionSpace, Array, Box, Discrete, Key

ILLEGAL = -1e9


def masked(head: Array, legal: Array | None) -> Array:
    """The head with illegal actions made impossible; `legal` bool [..., n], None: all are legal."""
    return head if legal is None else jnp.where(legal, head, ILLEGAL)


def sample(space: ActionSpace, head: Array, log_std: Array | None, key: Key, greedy: bool) -> Array:
    """Actions for heads [B, n]; the mode if `greedy`."""
    if greedy:
        return mode(space, head)
    if isinstance(space, Box):
        assert log_std is not None
        action = head + jnp.exp(log_std) * jax.random.normal(key, head.shape)
        return action.reshape(*head.shape[:-1], *space.shape)
    if isinstance(space, Discrete):
        return jax.random.categorical(key, head)
    keys = jax.random.split(jnp.asarray(key), len(space.nvec))
    parts = [jax.random.categorical(k, part) for k, part in zip(keys, _parts(space, head), strict=True)]
    return jnp.stack(parts, -1)


def mode(space: ActionSpace, head: Array) -> Array:
    """The likeliest actions [B] or [B, ...]; the first of equals."""
    if isinstance(space, Box):
        return head.reshape(*head.shape[:-1], *space.shape)
    if isinstance(space, Discrete):
        return jnp.argmax(head, -1)
    return jnp.stack([jnp.argmax(part, -1) for part in _parts(space, head)], -1)


def log_prob(space: ActionSpace, head: Array, log_std: Array, action: Array) -> Array:
    """Log-probability (density) [...] of actions under heads [..., n]."""
    if isinstance(space, Box):
        z = (action.reshape(head.shape) - head) * jnp.exp(-log_std)
        return -0.5 * (z**2).sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * log_std.size
    if isinstance(space, Discrete):
        return _chosen(head, action)
    parts = _parts(space, head)
    return jnp.sum(jnp.stack([_chosen(part, action[..., i]) for i, part in enumerate(parts)]), axis=0)


def entropy(space: ActionSpace, head: Array, log_std: Array) -> Array:
    """Entropy [...] (differential for Gaussians), in nats."""
    if isinstance(space, Box):
        whole = log_std.sum() + 0.5 * math.log(2 * math.pi * math.e) * log_std.size
        return jnp.broadcast_to(whole, head.shape[:-1])
    total: Any = 0.0
    for part in _parts(space, head):
        log_probs = jax.nn.log_softmax(part)
        total = total - (jnp.exp(log_probs) * log_probs).sum(-1)
    return total


def divergence(space: ActionSpace, head: Array, log_std: Array, from_head: Array, from_log_std: Array) -> Array:
    """Kullback-Leibler divergence [...] of the policy of `head` from that of `from_head`, in nats.

    Both heads [..., n] have the same illegal actions; `from_log_std` is [A] or [..., A].
    """
    if isinstance(space, Box):
        spread = jnp.exp(2 * (log_std - from_log_std))
        z = (head - from_head) * jnp.exp(-from_log_std)
        return (from_log_std - log_std + 0.5 * (spread + z**2 - 1)).sum(-1)
    total: Any = 0.0
    for part, from_part in zip(_parts(space, head), _parts(space, from_head), strict=True):
        log_probs = jax.nn.log_softmax(part)
        total = total + (jnp.exp(log_probs) * (log_probs - jax.nn.log_softmax(from_part))).sum(-1)
    return total


def _parts(space: ActionSpace, head: Array) -> list[Array]:
    """The head of each choice."""
    if isinstance(space, Discrete):
        return [head]
    assert not isinstance(space, Box)
    return jnp.split(head, np.cumsum(space.nvec)[:-1], axis=-1)


def _chosen(logits: Array, action: Array) -> Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]
