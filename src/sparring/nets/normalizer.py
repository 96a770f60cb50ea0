"""Running mean and variance of what a network reads."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp

from sparring.types import Array


class Normalizer(eqx.Module):
    """Running mean and variance of observations; what it returns is clipped to [-clip, clip]."""

    mean: Array  # float32 [D]
    var: Array  # float32 [D]
    count: Array  # float32 [], observations seen
    floor: Array  # float32 [], the smallest variance that is divided by
    clip: Array  # float32 []

    def __call__(self, observation: Array) -> Array:
        scaled = (observation - self.mean) / jnp.sqrt(jnp.maximum(self.var, self.floor))
        return jnp.clip(scaled, -self.clip, self.clip)

    def update(self, observation: Array) -> Normalizer:
        """Take in observations [N, D] (Chan et al. 1979: moments of a union of samples)."""
        n = jnp.float32(observation.shape[0])
        mean, var = observation.mean(0), observation.var(0)
        total = self.count + n
        delta = mean - self.mean
        merged = (self.var * self.count + var * n + delta**2 * self.count * n / total) / total
        return eqx.tree_at(lambda s: (s.mean, s.var, s.count), self, (self.mean + delta * n / total, merged, total))


def normalizer(size: int, floor: float = 1e-2, clip: float = 5.0) -> Normalizer:
    """The identity until it has seen observations."""
    zero, one = jnp.zeros(size, jnp.float32), jnp.ones(size, jnp.float32)
    return Normalizer(zero, one, jnp.float32(0), jnp.float32(floor), jnp.float32(clip))
