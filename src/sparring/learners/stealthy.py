"""A learner that also hides: what it does is penalised by how far it moves the states that others see.

A discriminator is trained along, to tell the states of this training from benign ones. Its logit estimates the log
ratio of both densities, so that the mean penalty of a step is the Kullback-Leibler divergence of the states under the
attack from the benign ones: distribution matching as the paper's section 3b has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from sparring.errors import InputError
from sparring.types import Array, Experience, Key, Learner, LearnerState, Metrics, Policy, Seen, Spaces


@dataclass(frozen=True)
class StealthConfig:
    """How a learner hides."""

    weight: float  # lambda: what a unit of the log ratio costs, in rewards
    width: int = 64  # of the discriminator's hidden layers
    depth: int = 2
    learning_rate: float = 1e-3
    minibatch: int = 512  # states of each kind
    steps: int = 16  # of the discriminator in each round
    limit: float = 5.0  # the log ratio of a step counts for no more than this, and for no less than minus this


class StealthState(NamedTuple):
    """The learner's own state, and the discriminator's."""

    inner: LearnerState
    discriminator: eqx.nn.MLP
    moments: Any


def stealthy(learner: Learner, benign: Array, config: StealthConfig) -> Learner:
    """The learner, whose rewards are lessened by `weight` times the log ratio of the states that are watched.

    Its side has to `watch` the agents whose observations `benign` are.

    Args:
      learner: any.
      benign: float32 [n, D], states without an attack.
      config: settings.

    Raises:
      InputError: no benign states, or a weight that is no number of at least 0; from `update`, a round without what was
        watched.
    """
    rows = np.asarray(benign, np.float32)
    if rows.ndim != 2 or not len(rows):
        raise InputError(f"stealth: expected benign states [n, D], got {list(rows.shape)}")
    if not (np.isfinite(config.weight) and config.weight >= 0):
        raise InputError(f"stealth: expected a weight of at least 0, got {config.weight}")
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    reference = jnp.asarray(np.clip((rows - mean) / spread, -_FAR, _FAR))

    def init(spaces: Spaces, key: Key) -> StealthState:
        ours, theirs = jax.random.split(jnp.asarray(key))
        discriminator = eqx.nn.MLP(rows.shape[1], "scalar", config.width, config.depth, key=theirs)
        moments = optax.adam(config.learning_rate).init(eqx.filter(discriminator, eqx.is_inexact_array))
        return StealthState(learner.init(spaces, ours), discriminator, moments)

    def update(state: StealthState, experience: Experience, key: Key) -> tuple[StealthState, Metrics]:
        if experience.seen is None:
            raise InputError("stealth: the side of this learner watches nobody, so there is nothing to hide")
        ours, theirs = jax.random.split(jnp.asarray(key))
        seen = experience.seen._replace(rows=jnp.clip((experience.seen.rows - mean) / spread, -_FAR, _FAR))
        weights, found = _learned(config, state.discriminator, state.moments, reference, seen, theirs)
        hidden = experience._replace(reward=experience.reward - config.weight * found.ratio, seen=None)
        inner, metrics = learner.update(state.inner, hidden, ours)
        told = {"log_ratio": found.ratio.sum() / seen.moves.sum(), "discriminator_loss": found.loss}
        return StealthState(inner, weights, found.moments), {**metrics, **told}

    def policy(state: StealthState) -> Policy:
        return learner.policy(state.inner)

    def final(state: StealthState) -> Policy:
        return (learner.final or learner.policy)(state.inner)

    slower = learner.halved
    halved = None if slower is None else (lambda: stealthy(slower(), benign, config))
    return Learner(init, policy, update, final, halved)


_FAR = 10.0  # standard deviations: beyond them a state is as strange as can be


class _Found(NamedTuple):
    moments: Any
    ratio: Array  # float32 [T, B], the log ratio of each state; 0 where nobody moved
    loss: Array  # float32 []


@eqx.filter_jit
def _learned(
    config: StealthConfig, discriminator: eqx.nn.MLP, moments: Any, benign: Array, seen: Seen, key: Array
) -> tuple[eqx.nn.MLP, _Found]:
    """Some steps of logistic regression, and what the discriminator of before, which has not seen them, says."""
    limit = config.limit
    ratio = jnp.where(seen.moves, jnp.clip(jax.vmap(jax.vmap(discriminator))(seen.rows), -limit, limit), 0.0)
    states, chance = seen.rows.reshape(-1, seen.rows.shape[-1]), seen.moves.reshape(-1) / seen.moves.sum()
    optimiser = optax.adam(config.learning_rate)
    weights, static = eqx.partition(discriminator, eqx.is_inexact_array)

    def loss(weights: Any, attacked: Array, untouched: Array) -> Array:
        tell = jax.vmap(eqx.combine(weights, static))
        return (jax.nn.softplus(-tell(attacked)).mean() + jax.nn.softplus(tell(untouched)).mean()) / 2

    def step(carry: Any, key: Array) -> tuple[Any, Array]:
        weights, moments = carry
        first, second = jax.random.split(key)
        attacked = states[jax.random.choice(first, len(states), (config.minibatch,), p=chance)]
        untouched = benign[jax.random.randint(second, (config.minibatch,), 0, len(benign))]
        value, gradient = jax.value_and_grad(loss)(weights, attacked, untouched)
        change, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(weights, change), moments), value

    (weights, moments), losses = jax.lax.scan(step, (weights, moments), jax.random.split(key, config.steps))
    return eqx.combine(weights, static), _Found(moments, ratio, losses.mean())
