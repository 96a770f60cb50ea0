"""Native observations as the flat vectors that this package's networks read."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparring.types import Array, Box, Dict, Discrete, Space


def encode(space: Space, observation: Any) -> Array:
    """Observations with leading dimensions [...] as float32 [..., space.size].

    Arrays are flattened (unsigned bytes become 0 to 1), choices become one-hot, the parts of a dict follow each other
    in the order of their names.
    """
    if isinstance(space, Dict):
        return jnp.concatenate([encode(part, observation[name]) for name, part in space.parts], -1)
    observation = jnp.asarray(observation)
    if isinstance(space, Box):
        lead = observation.shape[: observation.ndim - len(space.shape)]
        flat = observation.reshape(*lead, space.size).astype(jnp.float32)
        return flat / 255 if space.dtype == "uint8" else flat
    if isinstance(space, Discrete):
        return jax.nn.one_hot(observation, space.n, dtype=jnp.float32)
    parts = [jax.nn.one_hot(observation[..., i], n, dtype=jnp.float32) for i, n in enumerate(space.nvec)]
    return jnp.concatenate(parts, -1)


def flat(space: Space, observation: Any) -> np.ndarray:
    """`encode`, outside of JAX: float32 [..., space.size], each number as it was observed."""
    if isinstance(space, Dict):
        return np.concatenate([flat(part, observation[name]) for name, part in space.parts], -1)
    observation = np.asarray(observation)
    if isinstance(space, Box):
        lead = observation.shape[: observation.ndim - len(space.shape)]
        return observation.reshape(*lead, space.size).astype(np.float32)
    if isinstance(space, Discrete):
        return np.eye(space.n, dtype=np.float32)[observation]
    return np.concatenate([np.eye(n, dtype=np.float32)[observation[..., i]] for i, n in enumerate(space.nvec)], -1)
