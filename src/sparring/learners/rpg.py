"""Regret policy gradient (Srinivasan et al. 2018) over whole matches; batches and critic are those of A2C.

Beside the policy a second critic learns the value of every action from the returns of those that were played. The
policy descends its regret sum_a max(0, Q(s, a) - sum_b pi(b|s) Q(s, b)) at the states that it met. At a state with n
actions of positive regret that is n times the policy gradient over all actions; with two actions n is 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sparring.learners.a2c import A2CConfig, Matches, descend, new_network, stepped, whole_matches
from sparring.nets import ActorCritic, Feedforward, heads
from sparring.types import Array, Experience, Key, Learner, Metrics, Spaces


@dataclass(frozen=True)
class RPGConfig(A2CConfig):
    """A2C's settings; `critic_rate` is also that of the action values."""


class RPGState(NamedTuple):
    network: ActorCritic  # its critic stands in for what follows a match that was cut off
    q: Feedforward  # action values [N, A]


def rpg(config: RPGConfig) -> Learner:
    """RPG's `init`, `policy` and `update`.

    Raises:
      InputError: from `init`, actions that are not discrete.
    """

    def init(spaces: Spaces, key: Key) -> RPGState:
        keys = jax.random.split(jnp.asarray(key), 2)
        # A policy's head has one output per action, all of them near 0 at the start: what action values want, too.
        q = new_network(spaces, config, keys[1]).actor
        assert isinstance(q, Feedforward)
        return RPGState(new_network(spaces, config, keys[0]), q)

    def update(state: RPGState, experience: Experience, key: Key) -> tuple[RPGState, Metrics]:
        del key
        return _update(config, state, experience)

    def halved() -> Learner:
        return rpg(replace(config, learning_rate=config.learning_rate / 2))

    return Learner(init, lambda state: state.network, update, halved=halved)


@eqx.filter_jit
def _update(config: RPGConfig, state: RPGState, experience: Experience) -> tuple[RPGState, Metrics]:
    matches = whole_matches(state.network, experience, config.gamma)
    gradient, metrics = eqx.filter_grad(rpg_loss, has_aux=True)(state, matches, config.entropy_coef)
    network = descend(state.network, gradient.network, config)
    q = stepped(state.q, gradient.q, config.critic_rate)
    return RPGState(network, q), {**metrics, "grad_norm": optax.tree.norm(gradient.network.actor)}


def rpg_loss(state: RPGState, matches: Matches, entropy_coef: float) -> tuple[Array, Metrics]:
    """Regret - entropy_coef * entropy + half the squared errors of both critics, each a mean over matches."""
    observation = state.network.normalizer(matches.observation)
    logits, value, _ = state.network.forward(observation, ((), ()))
    logits = heads.masked(logits, matches.legal)
    q = state.q(observation, ())[0]
    policy_loss = regret_loss(logits, q, matches.controlled, matches.legal)
    entropy = (matches.controlled * state.network.entropy(logits)).sum()
    value_loss = 0.5 * (matches.weight * (value - matches.returns) ** 2).sum()
    played = jnp.take_along_axis(q, matches.action[:, None], axis=1)[:, 0]
    # Where it was not its move, the action that it gave means nothing.
    weight = matches.weight if matches.moved is None else matches.moved
    q_loss = 0.5 * (weight * (played - matches.returns) ** 2).sum()
    metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "q_loss": q_loss, "entropy": entropy}
    return policy_loss - entropy_coef * entropy + value_loss + q_loss, metrics


def regret_loss(logits: Array, q: Array, weight: Array, legal: Array | None = None) -> Array:
    """sum_t weight_t sum_a max(0, q_ta - sum_b pi_tb q_tb) over legal a; no gradient flows into the action values."""
    q = jax.lax.stop_gradient(q)
    baseline = (jax.nn.softmax(logits) * q).sum(-1, keepdims=True)
    regret = jax.nn.relu(q - baseline)
    if legal is not None:
        regret = jnp.where(legal, regret, 0.0)
    return (weight * regret.sum(-1)).sum()
